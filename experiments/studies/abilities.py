"""Which accuracy will a larger model have on a task? A ladder of sizes, and one held out.

    windtunnel run abilities                    # CPU, 2 cores: 17 minutes
    windtunnel predict runs/abilities           # sealed, before the held-out size is trained
    windtunnel run abilities --part held_out
    windtunnel report runs/abilities

Every size sees the same tokens: a quarter of the standard library, the rest from generators of
sums, brackets, permutations, copies and walks. At its end a run answers the items of eight tasks,
which it has not seen. "quick" is four sizes and one held out; "gpu" has not been run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
)
from experiments.plan.grids import configs, grid
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.studies import _base
from models.shapes import plain

GENERATORS: Mapping[str, str] = {  # by the name of the corpus: its source and settings
    "addition": "addition:",
    "modular": "arithmetic:terms=2&",
    "brackets": "brackets:",
    "permutations": "permutations:",
    "copies": "copies:",
    "khop": "khop:nodes=6&hops=2&questions=8&",
}
WEIGHTS = (0.28, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12)
TASKS = ("addition", "modular", "brackets", "permutations", "copies", "khop", "syntax",
         "identifiers")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scale(_base.Size):
    """One size of the study: the same design, other numbers."""

    widths: tuple[int, ...]  # the last is held out
    tokens: int
    documents: int  # of each generator
    seeds: int
    base_width: int = 32


SCALES: Mapping[str, Scale] = {
    "quick": Scale(
        widths=(16, 24, 32, 48, 64),
        layers=2,
        head_dim=8,
        batch=BatchConfig(sequences=8, seq_len=128),
        tokens=2**18,
        documents=800,
        seeds=1,
        learning_rate=0.0088,
    ),
    "cpu": Scale(
        widths=(16, 24, 32, 48, 64, 80, 112, 152),
        layers=2,
        head_dim=8,
        batch=BatchConfig(sequences=8, seq_len=128),
        tokens=2**20,
        documents=800,
        seeds=2,
        learning_rate=0.0088,
    ),
    "gpu": Scale(
        **{**_base.GPU, "head_dim": 32, "batch": BatchConfig(sequences=64, seq_len=256)},
        widths=(64, 96, 128, 192, 256, 384, 512, 640),
        tokens=2**28,
        documents=80_000,
        seeds=2,
    ),
}


def study(
    scale: Literal["quick", "cpu", "gpu"] = "cpu",
    tasks: tuple[str, ...] = TASKS,
    tokens: int | None = None,
    seed: int = 0,
) -> Study:
    """The ladder of a scale with its seeds, and its largest size held out with one."""
    s = SCALES[scale]
    made = [f"{name}={text}documents={s.documents}" for name, text in GENERATORS.items()]
    base = _base.base(
        s,
        budget=BudgetConfig(s.tokens if tokens is None else tokens),
        data=DataConfig(corpora=("text=stdlib", *made), weights=WEIGHTS),
        evaluation=EvaluationConfig(windows=len(WEIGHTS) * 32, tasks=tasks),
    )
    runs = []
    for rung, width in enumerate(s.widths):
        held = width == s.widths[-1]
        part = StudyPart.HELD_OUT if held else StudyPart.FIT
        rows = grid(
            {
                "model": [plain(width, s.layers, s.head_dim)],
                "seed": range(seed, seed + (1 if held else s.seeds)),
            }
        )
        runs += [Run(config, rung, part) for config in configs(base, rows)]
    return Study(
        name="abilities",
        question="Which accuracy will a larger model have on each task?",
        runs=tuple(runs),
        law=None,
        reading="abilities",
    )
