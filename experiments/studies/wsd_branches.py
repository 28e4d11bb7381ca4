"""One stable run per size, many cooldowns: how much of a ladder's compute do branches save?

TODO
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config import (
    BatchConfig,
    EvaluationConfig,
    Execution,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    Science,
)
from experiments.ladders import wsd
from experiments.study import Study
from experiments.sweeps import grid, seeds, zipped
from models.config import Program, TransformerConfig
from scaling.parametrization import Parametrization

DECAY_FRACTION = 0.2
RUNS_PER_SEED = 1000  # every size has a seed of its own


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


def model(scale: Scale, width: int) -> TransformerConfig:
    heads = width // scale.head_dim
    return TransformerConfig(
        layers=scale.layers,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=scale.head_dim,
        ffn=4 * width,
        mlp="relu2",
        qk_norm="rmsnorm",
    )


def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study:
    """Every size at every ratio, each size from one trunk and with one seed of its own."""
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
    models = grid({"model": [model(s, each) for each in (*s.widths, width)]})
    sizes = zipped(models, seeds(len(models), first=seed * RUNS_PER_SEED))
    return Study(
        name="wsd_branches",
        question="How much of a ladder's compute do branches from a stable run save?",
        runs=wsd(base, sizes, [*[s.ratios] * len(s.widths), ratios], DECAY_FRACTION, held_out=1),
    )
