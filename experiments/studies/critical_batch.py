"""How large a batch still pays? Steps to a loss against batch, at the best rate of each.

python -m experiments run critical_batch
python -m analysis report runs/critical_batch           # the hyperbolas, and B_crit(L)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from experiments.ladders import runs
from experiments.record import Reading
from experiments.study import Study
from experiments.sweeps import chain, grid
from models.config import Program, TransformerConfig
from scaling.parametrization import Parametrization


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    A batch of B tokens is trained on `tokens` * (1 + B / `critical`), as it would need if that were
    the critical batch, at each of `rates` * sqrt(B / `critical`).
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


def model(layers: int, width: int, head_dim: int) -> TransformerConfig:
    heads = width // head_dim
    return TransformerConfig(
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=4 * width,
        mlp="relu2",
        qk_norm="rmsnorm",
    )


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        model=model(2, 32, 8),
        seq_len=32,
        windows=1024,
        batches=(1, 2, 4, 8, 16, 32, 64),
        tokens=262_144,
        critical=512,
        rates=(2**-8, 2**-7, 2**-6, 2**-5),
        precision="float32",
    ),
    "gpu": Scale(
        model=model(6, 384, 64),
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
        model=model(16, 1024, 128),
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
            # no decay, so that a loss on the way does not depend on how long the run is to be
            schedule=ScheduleConfig(name="constant", warmup_fraction=0.05),
            batch=BatchConfig(seq_len=s.seq_len),
            evaluation=EvaluationConfig(windows=s.windows, times=32),
            precision=s.precision,
            seed=seed,
        ),
        Execution(program=s.program, steps_per_dispatch=8),
    )
    rows = []
    for sequences in s.batches:
        ratio = sequences * s.seq_len / s.critical
        rows.append(
            grid(
                {
                    "batch.sequences": [sequences],
                    "budget.tokens": [round(s.tokens * (1 + ratio))],
                    "optimizer.learning_rate": [rate * ratio**0.5 for rate in s.rates],
                }
            )
        )
    return Study(
        name="critical_batch",
        question="How large a batch still pays?",
        runs=runs(base, [chain(*rows)]),
        law=None,
        reading=Reading.CRITICAL_BATCH,
    )
