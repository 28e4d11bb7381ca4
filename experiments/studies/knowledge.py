"""Bits of knowledge that a parameter holds: people of known entropy, seen so many times.

    windtunnel run knowledge               # 2 minutes of CPU time
    windtunnel report runs/knowledge

Biographies of people who do not exist have known entropy (Allen-Zhu and Li 2024, arXiv 2404.05405:
2 bits a parameter after 1000 exposures, about 1 after 100). Each size learns as many people as hold
`load` times 2 bits a parameter; an exposure is one biography of a person, with its facts in another
order. The task `knowledge` gives the bits from the loss of names and of facts. Names and values are
numbers: with invented words (`words=1` in data.path) 20k parameters held 0.03 bits each after 315
exposures and -0.14 after 105, less than a model that knows the lists of words and nobody. With
numbers they held 0.16 after 325 exposures (docs/mixing.md). "gpu" has not been run yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import BatchConfig, EvaluationConfig
from experiments.data.sources import biographies
from experiments.plan.grids import configs, grid
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.studies._base import Size, base
from models.shapes import plain
from scaling.counting.formulas import params_total
from scaling.machines.program import Program

PAPER = 2.0  # bits a parameter
WRITTEN = 20  # biographies of each person in the corpus; more exposures are repeats
DOCUMENT = 72  # bytes of a biography with its separator, about


@dataclass(frozen=True)
class Cell:
    """Runs of one size: the load of people, and their exposures."""

    width: int
    load: float
    exposures: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Scale(Size):
    """One size of the study: the same design, other numbers."""

    cells: tuple[Cell, ...]


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        layers=2,
        head_dim=8,
        cells=(
            Cell(16, 0.25, (30, 100, 300)),
            Cell(24, 0.25, (30, 100, 300)),
            Cell(16, 1.0, (30, 100)),
            Cell(24, 1.0, (30,)),
        ),
        batch=BatchConfig(sequences=8, seq_len=128),
        learning_rate=0.0088,
        base_width=32,
    ),
    "gpu": Scale(
        layers=6,
        head_dim=64,
        cells=tuple(
            Cell(width, load, (100, 1000)) for width in (64, 128, 256) for load in (0.25, 1.0, 4.0)
        ),
        batch=BatchConfig(sequences=64, seq_len=512),
        learning_rate=4e-3,
        base_width=256,
        precision="bfloat16",
        program=Program(layers="scan"),
    ),
}


def people_of(bits: float) -> int:
    """The number of people that hold so many bits, N (log2(N0 / N) + log2 S0)."""
    N = bits / 70
    for _ in range(20):
        N = bits / (math.log2(biographies.NAMES / N) + math.log2(biographies.VALUES))
    return round(N)


def study(scale: Literal["cpu", "gpu"] = "cpu", mlp: str = "relu2", seed: int = 0) -> Study:
    """Every size with its people and exposures; `mlp` is the kind of feed-forward."""
    s = SCALES[scale]
    run = base(
        s,
        data=DataConfig(source="biographies"),
        evaluation=EvaluationConfig(windows=512, tasks=("knowledge",)),
        seed=seed,
    )
    runs = []
    for rung, cell in enumerate(s.cells):
        model = plain(cell.width, s.layers, s.head_dim, mlp=mlp)
        people = people_of(PAPER * cell.load * params_total(model.dims(s.batch.seq_len)))
        for exposures in cell.exposures:
            row = grid(
                {
                    "model": [model],
                    "data.path": [f"people={people}&exposures={WRITTEN}&words=0"],
                    "data.epochs": [2 + round(1.2 * exposures / WRITTEN)],
                    "budget.tokens": [people * exposures * DOCUMENT],
                }
            )
            runs += [Run(each, rung, label=f"{exposures} exposures") for each in configs(run, row)]
    return Study(
        name="knowledge",
        question="How many bits of knowledge does a parameter hold?",
        runs=tuple(runs),
        law=None,
        reading="knowledge",
    )
