"""The critical batch size: how large a batch still pays?

Steps to a loss against batch, each batch at its best rate.

    windtunnel run critical_batch          # CPU, 2 free cores: 2 to 3 minutes
    windtunnel report runs/critical_batch  # the hyperbolas; B_crit(L) as law.json
    windtunnel recommend --params 1e6 --tokens 1e7 --loss 2 \\
        --fit runs/critical_batch/law.json

One model and seven batches, each at four rates around a line that rises with sqrt(B). The rate is
constant after a warm-up of a twentieth of the steps; runs are validated 32 times on the way. The
fewest steps of each batch to a loss give (S / S_min - 1) (E / E_min - 1) = 1 and
B_crit = E_min / S_min. beta2 is 0.95 at any batch, and there is no weight decay.

Expected, with the standard library of Python 3.11 and 95 % intervals:

    nats/byte          2.64              2.39                2.16
    B_crit, tokens     434 [380, 469]    1.01k [831, 1.45k]  2.43k [1.83k, 8.93k]

and B_crit goes as L^-7.6 [-10.7, -6.8] (Kaplan et al. 2020: -4.8, on losses per BPE token of models
that had learned far more). The best batch of the study `hyperparameter_law` at this size, 135
tokens, is far below: it uses a fixed number of tokens best, with the rate decayed. At
the lowest losses S_min is less than half the steps of any run, and the interval says so. One seed.
5 minutes of CPU time, on two cores shared with much other work. "gpu" and "pod" need a corpus
larger than the embedded one, and neither has been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, EvaluationConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.designs import runs
from experiments.plan.grids import chain, grid
from experiments.plan.study import Study
from models.config import TransformerConfig
from models.shapes import plain
from scaling.machines.program import Program
from scaling.parametrization.parametrization import Parametrization

TIMES = 32  # validations of a run


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    A batch of B tokens trains on `tokens` * (1 + B / `critical`), as it would need if `critical`
    were the critical batch. Its rates are `rates` * sqrt(B / `critical`).
    """

    model: TransformerConfig
    seq_len: int
    windows: int  # of validation
    batches: tuple[int, ...]  # sequences
    tokens: int
    critical: int  # a guess, tokens
    rates: tuple[float, ...]
    precision: Literal["float32", "bfloat16"]
    program: Program = field(default_factory=Program)


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        model=plain(32, layers=2, head_dim=8),
        seq_len=32,
        windows=1024,
        batches=(1, 2, 4, 8, 16, 32, 64),
        tokens=262_144,
        critical=512,
        rates=(2**-8, 2**-7, 2**-6, 2**-5),
        precision="float32",
    ),
    "gpu": Scale(
        model=plain(384, layers=6, head_dim=64),
        seq_len=512,
        windows=512,
        batches=(2, 4, 8, 16, 32, 64, 128, 256),
        tokens=2**26,
        critical=2**15,
        rates=(2**-10, 2**-9, 2**-8, 2**-7),
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
    "pod": Scale(
        model=plain(1024, layers=16, head_dim=128),
        seq_len=2048,
        windows=512,
        batches=(16, 32, 64, 128, 256, 512, 1024, 2048),
        tokens=2**33,
        critical=2**20,
        rates=(2**-11, 2**-10, 2**-9, 2**-8),
        precision="bfloat16",
        program=Program(layers="scan", remat="block"),
    ),
}


def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study:
    """Every batch at every rate, validated on the way."""
    s = SCALES[scale]
    base = RunConfig(
        Science(
            model=s.model,
            parametrization=Parametrization("sp"),
            optimizer=OptimizerConfig(beta2=0.95, weight_decay=0.0),
            # no decay, so that a loss on the way does not depend on the run's length
            schedule=ScheduleConfig(name="constant", warmup_fraction=0.05),
            batch=BatchConfig(seq_len=s.seq_len),
            evaluation=EvaluationConfig(windows=s.windows, times=TIMES),
            precision=s.precision,
            seed=seed,
        ),
        Execution(program=s.program),
    )
    rows = []
    for sequences in s.batches:
        batch = sequences * s.seq_len
        ratio = batch / s.critical
        tokens = round(s.tokens * (1 + ratio))
        rows.append(
            grid(
                {
                    "batch.sequences": [sequences],
                    "budget.tokens": [tokens],
                    "optimizer.learning_rate": [rate * ratio**0.5 for rate in s.rates],
                    # runs are validated where a dispatch ends
                    "execution.steps_per_dispatch": [min(64, tokens // batch // TIMES)],
                }
            )
        )
    return Study(
        name="critical_batch",
        question="How large a batch still pays?",
        runs=runs(base, [chain(*rows)]),
        law=None,
        reading="critical_batch",
    )
