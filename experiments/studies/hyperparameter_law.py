"""Which learning rate and batch does a bigger run want? Grids of both, in cells of size and tokens.

    windtunnel run hyperparameter_law                  # CPU, 2 free cores: 4 min
    windtunnel predict runs/hyperparameter_law         # the law, and its advice
    windtunnel run hyperparameter_law --part held_out  # 2 minutes more
    windtunnel report runs/hyperparameter_law          # the bowls and the regrets

Two sizes x three token counts, in each 5 learning rates x 5 batches with one seed. One larger cell,
with another grid, is held out. The parametrization is the standard one, as in the published laws:
muP is made to hold the best rate over the width, which leaves lr*(N, D) less to find. Tokens are
fixed in a cell, so a batch of B takes D / B steps. Warm-up is a tenth of the steps at any batch,
then linear decay to 0. beta2 is 0.95 at any batch, as in the published laws; a higher one moves the
best batch to the least. There is no weight decay: its best value moves with lr and batch. Sequences
are short, so that the grid reaches below the best batch, about 100 tokens here.

Expected, nats/byte with the standard library of Python 3.11, 95 % intervals:

    lr = 0.114 N^-0.47 [-0.64, -0.35] D^0.17 [0.04, 0.28], N without embeddings
    batch = 0.0421 D^0.62 [0.35, 0.83] tokens

    at N = 55.6k, D = 786k                lr   batch, tokens   above the best run
    our fitted law                   0.00683             193               0.64 %
    best setting of the nearest cell  0.0156             128               2.00 %
    Step Law                          0.0478           1.35k     3.3 %, off the grid
    DeepSeek                          0.0115           1.64k     2.3 %, off the grid
    OLMo ladder                       0.0587            2.1k     3.3 %, off the grid

Step Law was fitted four orders of magnitude further up. It has the same exponent of the batch
(0.57) and steeper ones of the rate (-0.71 and 0.31, just outside these intervals); its coefficients
do not hold here. Neighbouring runs scatter by about 1 %: a smaller regret means nothing. One cell
has its best batch at the low edge of the grid. CPU time: 7.3 minutes for the 150 runs and 4.1 for
the 20 held out, on two cores shared with much other work. "gpu" and "pod" need a corpus larger than
the embedded one, and neither has been run yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, EvaluationConfig, Execution, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.plan.designs import runs
from experiments.plan.grids import Grid, grid, product
from experiments.plan.study import Study
from models.shapes import plain
from scaling.counting.formulas import params_total
from scaling.machines.program import Program
from scaling.parametrization.parametrization import Parametrization


@dataclass(frozen=True)
class Settings:
    """The grid of one cell."""

    batches: tuple[int, ...]  # sequences
    log2_rates: range


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers.

    The held-out cell has another grid: its best rate should be lower, its best batch larger.
    """

    layers: int
    head_dim: int
    seq_len: int
    windows: int  # of validation
    widths: tuple[int, ...]
    tokens: tuple[int, ...]
    settings: Settings
    held_out: tuple[int, int]  # width, tokens
    held_out_settings: Settings
    precision: Literal["float32", "bfloat16"]
    program: Program = field(default_factory=Program)


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        seq_len=32,
        windows=2048,
        widths=(16, 32),
        tokens=(98_304, 196_608, 393_216),
        settings=Settings((1, 2, 4, 8, 16), range(-8, -3)),
        held_out=(48, 786_432),
        held_out_settings=Settings((2, 4, 8, 16), range(-9, -4)),
        precision="float32",
    ),
    "gpu": Scale(
        layers=6,
        head_dim=64,
        seq_len=512,
        windows=1024,
        widths=(128, 256, 512),
        tokens=(2**24, 2**25, 2**26),
        settings=Settings((4, 8, 16, 32, 64), range(-11, -4)),
        held_out=(768, 2**28),
        held_out_settings=Settings((8, 16, 32, 64, 128), range(-12, -5)),
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
    "pod": Scale(
        layers=16,
        head_dim=128,
        seq_len=2048,
        windows=1024,
        widths=(512, 768, 1024),
        tokens=(2**31, 2**32, 2**33),
        settings=Settings((32, 64, 128, 256), range(-13, -7)),
        held_out=(2048, 2**35),
        held_out_settings=Settings((128, 256, 512, 1024), range(-14, -8)),
        precision="bfloat16",
        program=Program(layers="scan", remat="block"),
    ),
}


def cell(scale: Scale, width: int, tokens: int, settings: Settings) -> Grid:
    """One size at one number of tokens, with every batch and every rate."""
    return product(
        grid({"model": [plain(width, scale.layers, scale.head_dim)], "budget.tokens": [tokens]}),
        grid(
            {
                "batch.sequences": settings.batches,
                "optimizer.learning_rate": [2.0**k for k in settings.log2_rates],
            }
        ),
    )


def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study:
    """The grids of one scale."""
    return grids(SCALES[scale], seed)


def grids(s: Scale, seed: int) -> Study:
    """A rung per cell, from the least compute to the most; the last one is held out."""
    base = RunConfig(
        Science(
            parametrization=Parametrization("sp"),
            optimizer=OptimizerConfig(beta2=0.95, weight_decay=0.0),
            schedule=ScheduleConfig(name="linear", warmup_fraction=0.1),
            batch=BatchConfig(seq_len=s.seq_len),
            evaluation=EvaluationConfig(windows=s.windows),
            precision=s.precision,
            seed=seed,
        ),
        Execution(program=s.program),
    )
    cells = sorted(
        ((width, tokens) for width in s.widths for tokens in s.tokens),
        key=lambda each: (
            params_total(plain(each[0], s.layers, s.head_dim).dims(s.seq_len)) * each[1]
        ),
    )
    rungs = [cell(s, *each, s.settings) for each in cells]
    rungs.append(cell(s, *s.held_out, s.held_out_settings))
    return Study(
        name="hyperparameter_law",
        question="Which learning rate and batch does a bigger run want?",
        runs=runs(base, rungs, held_out=1),
        law=None,
        reading="hyperparameter_law",
        params="params_nonembedding",
    )
