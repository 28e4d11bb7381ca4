"""Branches from a stable run: how much of a ladder's compute do they save?

    windtunnel run wsd_branches                  # CPU: 396 s of CPU time
    windtunnel fit runs/wsd_branches --bootstrap 200
    windtunnel predict runs/wsd_branches
    windtunnel run wsd_branches --part held_out  # a larger size, two runs from one trunk
    windtunnel report runs/wsd_branches

Five sizes at four D/N each, from five trunks of constant rate: every run is a cooldown, a fifth of
its steps, from its size's trunk. 20 records for the law cost 9.1e12 FLOPs (28,160 steps of trunk
and 16,161 of cooldown). 20 runs from the start cost 16.7e12 (80,929 steps): branches save 45 %, and
no number differs (tests/experiments/runs/test_branch_point.py).

Measured validation loss in nats/byte by parameters and D/N, with the standard library of Python
3.11. The trunk's loss is at its end; a cooldown of a quarter of its steps brings it down to the
column 100:

                  25      40      65     100    trunk, 80
    10,352     2.390   2.244   2.121   2.029        2.191
    20,120     2.089   1.947   1.845   1.788        1.984
    32,960     1.856   1.743   1.665   1.615        1.837
    48,872     1.693   1.616   1.557   1.518        1.761
    67,856     1.574   1.517   1.465   1.436        1.698

The law of the 20 runs is L = 5.74 N^-0.136 + 289 D^-0.477 with E at its bound of 0: these small
sizes show no floor. The branches of one size share most of their training, so their errors are
dependent; intervals that assume independence are too narrow. With two workers the run took 22
minutes on two cores that other work kept busy several times over. The held-out size, "gpu" and
"pod" have not been run yet; the last two need a corpus larger than the embedded one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, EvaluationConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.designs import wsd
from experiments.plan.grids import first_seed, grid, seeds, zipped
from experiments.plan.study import Study
from models.shapes import plain
from scaling.machines.program import Program
from scaling.parametrization.parametrization import Parametrization

DECAY_FRACTION = 0.2


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers."""

    layers: int
    head_dim: int
    widths: tuple[int, ...]
    ratios: tuple[float, ...]  # tokens per parameter, of every size
    held_out: tuple[int, tuple[float, ...]]  # the width above the others, and its ratios
    base_width: int
    learning_rate: float  # at base_width
    batch: BatchConfig
    precision: Literal["float32", "bfloat16"]
    execution: Execution


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        widths=(16, 24, 32, 40, 48),
        ratios=(25, 40, 65, 100),
        held_out=(56, (60, 75)),
        base_width=32,
        learning_rate=0.0088,
        batch=BatchConfig(sequences=4, seq_len=128),
        precision="float32",
        execution=Execution(),
    ),
    "gpu": Scale(
        layers=12,
        head_dim=64,
        widths=(192, 256, 384, 512, 768),
        ratios=(10, 20, 40, 80, 160),
        held_out=(1024, (80, 160)),
        base_width=256,
        learning_rate=4e-3,
        batch=BatchConfig(sequences=64, seq_len=1024),
        precision="bfloat16",
        execution=Execution(Program(layers="scan")),
    ),
    "pod": Scale(
        layers=24,
        head_dim=128,
        widths=(512, 768, 1024, 1536, 2048),
        ratios=(10, 20, 40, 80, 160),
        held_out=(2560, (80, 160)),
        base_width=256,
        learning_rate=4e-3,
        batch=BatchConfig(sequences=256, seq_len=2048),
        precision="bfloat16",
        execution=Execution(Program(layers="scan", remat="block")),
    ),
}


def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study:
    """Every size at every ratio, each size from one trunk and with its own seed."""
    s = SCALES[scale]
    base = RunConfig(
        Science(
            parametrization=Parametrization("mup", s.base_width, s.head_dim),
            optimizer=OptimizerConfig(learning_rate=s.learning_rate, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleConfig(name="wsd", warmup_fraction=0.1),
            batch=s.batch,
            evaluation=EvaluationConfig(windows=1024),
            precision=s.precision,
        ),
        s.execution,
    )
    width, ratios = s.held_out
    models = grid({"model": [plain(each, s.layers, s.head_dim) for each in (*s.widths, width)]})
    sizes = zipped(models, seeds(len(models), first=first_seed(seed)))
    return Study(
        name="wsd_branches",
        question="How much of a ladder's compute do branches from a stable run save?",
        runs=wsd(base, sizes, [*[s.ratios] * len(s.widths), ratios], DECAY_FRACTION, held_out=1),
    )
