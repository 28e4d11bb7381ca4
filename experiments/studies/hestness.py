"""Does the task set the slope of a learning curve, or the architecture? Nested subsets of one text.

    windtunnel run hestness               # 112 runs, about 80M tokens; not run yet
    windtunnel report runs/hestness

Each training set is the first half of the next one. On each, every family trains at several sizes
and numbers of epochs, and its best validation loss counts (Hestness et al. 2017, arXiv 1712.00409).
The reading gives the exponent of error against data of each family, the difference of the two, and
the exponent of the best size, with intervals. Families and their rates are those of `families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, EvaluationConfig
from experiments.plan.grids import configs, grid, product, zipped
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.studies._base import Size, base
from experiments.studies.families import FAMILIES, model

SUBSET = "subset"  # the name of the source
CHOSEN = ("attention", "qlstm")


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers."""

    widths: tuple[int, ...]
    log2_tokens: range  # of the training sets
    epochs: tuple[int, ...]
    source: str


CPU = Scale(
    layers=4,
    head_dim=8,
    widths=(8, 16, 24, 32),
    log2_tokens=range(12, 19),
    epochs=(4, 16),
    batch=BatchConfig(sequences=4, seq_len=128),
    learning_rate=2.0**-6,  # of each family its own
    base_width=24,
    source="stdlib",
)
SCALES: Mapping[str, Scale] = {
    "cpu": CPU,
    "quick": replace(CPU, widths=(8, 16, 24), log2_tokens=range(12, 17)),
}


def study(scale: Literal["cpu", "quick"] = "cpu", seed: int = 0) -> Study:
    """Every size and number of epochs of both families on every subset."""
    s = SCALES[scale]
    return Study(
        name="hestness",
        question="Does the task set the slope of a learning curve, or the architecture?",
        runs=tuple(
            run
            for rung, log2 in enumerate(s.log2_tokens)
            for name in CHOSEN
            for run in _runs(s, name, 2**log2, rung, seed)
        ),
        law=None,
        reading="hestness",
        loss="loss",
    )


def _runs(s: Scale, family: str, tokens: int, rung: int, seed: int) -> list[Run]:
    size = replace(s, learning_rate=2.0 ** FAMILIES[family].log2_rate)
    run = base(
        size,
        data=DataConfig(corpora=(f"{SUBSET}={s.source}",), weights=(1.0,), unique_tokens=(tokens,)),
        evaluation=EvaluationConfig(windows=1024),
        seed=seed,
    )
    epochs = zipped(
        grid({"data.repeats": [(n,) for n in s.epochs]}),
        grid({"budget.tokens": [n * tokens for n in s.epochs]}),
    )
    models = grid({"model": [model(family, width) for width in s.widths]})
    return [Run(config, rung, label=family) for config in configs(run, product(models, epochs))]
