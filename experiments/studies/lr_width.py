"""Does the best learning rate stay where it is when the model grows wider?

    python -m experiments run lr_width                      # CPU, 2 free cores: about a minute
    python -m analysis report runs/lr_width                 # the valleys, and the best of each

Learning rate x width under the standard parametrization (SP) and muP, 42 runs of 300 steps, all
with one seed, so that rates are compared on the same data from the same start. The two
parametrizations are the same function at `base_width`, which the two rows of width 32 must show.

Expected, validation loss in nats/byte by width and rate, with the standard library of Python 3.11:

                 0.002  0.0039  0.0078   0.016   0.031   0.063   0.125
    muP  16      2.737   2.647   2.605   2.547   2.604   2.628   2.635
         32      2.658   2.548   2.483   2.489   2.558   2.588   2.604
         64      2.597   2.472   2.435   2.405   2.473   2.565   2.540
    SP   16      2.916   2.752   2.649   2.609   2.586   2.596   2.649
         32      2.658   2.548   2.483   2.489   2.558   2.588   2.604
         64      2.441   2.381   2.364   2.371   2.438   2.516   2.536

Under muP the best rate stays within one step of the grid (0.016, 0.0078, 0.016), under SP it falls
(0.031, 0.0078, 0.0078). One seed and 300 steps cannot say more: neighbours at a minimum differ by
0.01 to 0.06. At width 64 SP, whose best rate is at hand, is the better one here: muP promises that
a rate carries over, not that it is the best of all models. 115 s of CPU time; on two cores shared
with other work it took 3.9 minutes. "gpu" and "pod" need a corpus larger than the embedded one, and
neither has been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.config import (
    BatchConfig,
    BudgetConfig,
    Execution,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    Science,
)
from experiments.ladders import runs
from experiments.study import Study
from experiments.sweeps import grid, product
from models.config import Program, TransformerConfig
from scaling.parametrization import Parametrization


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers."""

    layers: int
    head_dim: int
    widths: tuple[int, ...]
    base_width: int  # where SP and muP are one and the same
    log2_rates: range
    batch: BatchConfig
    steps: int
    precision: Literal["float32", "bfloat16"]
    program: Program = field(default_factory=Program)


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        widths=(16, 32, 64),
        base_width=32,
        log2_rates=range(-9, -2),
        batch=BatchConfig(sequences=4, seq_len=128),
        steps=300,
        precision="float32",
    ),
    "gpu": Scale(
        layers=8,
        head_dim=64,
        widths=(128, 256, 512, 1024),
        base_width=256,
        log2_rates=range(-12, -4),
        batch=BatchConfig(sequences=32, seq_len=1024),
        steps=4000,
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
    "pod": Scale(
        layers=24,
        head_dim=128,
        widths=(256, 512, 1024, 2048, 4096),
        base_width=256,
        log2_rates=range(-13, -5),
        batch=BatchConfig(sequences=128, seq_len=2048),
        steps=10000,
        precision="bfloat16",
        program=Program(layers="scan", remat="block"),
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
    """Each width with each rate under both parametrizations, all on the same data in one order."""
    s = SCALES[scale]
    base = RunConfig(
        Science(
            parametrization=Parametrization("sp", s.base_width, s.head_dim),
            optimizer=OptimizerConfig(beta2=0.99),
            schedule=ScheduleConfig(name="linear"),
            batch=s.batch,
            budget=BudgetConfig(s.steps * s.batch.batch_tokens),
            precision=s.precision,
            seed=seed,
        ),
        Execution(program=s.program),
    )
    settings = grid(
        {
            "parametrization.name": ("sp", "mup"),
            "optimizer.learning_rate": [2.0**k for k in s.log2_rates],
        }
    )
    rungs = [product(grid({"model": [model(s, width)]}), settings) for width in s.widths]
    return Study(
        name="lr_width",
        question="Does the best learning rate stay where it is when the model grows wider?",
        runs=runs(base, rungs),
        law=None,
    )
