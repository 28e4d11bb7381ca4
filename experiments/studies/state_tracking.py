"""Which architecture can follow a state, and which can copy? Small models on two generated tasks.

    windtunnel run state_tracking             # 24 runs, about 15 minutes on two cores
    windtunnel report runs/state_tracking

The source `word_problem` (S5, words of 1, 2, ... letters) needs a state that changes with every
letter, `copies` a memory of every letter. The task `answers` gives the share solved: 1 for a model
that knows all answers, 0 for one that guesses; the last quarter has the longest words. Theory has
attention of constant depth fail the first for long words and a state of fixed size the second.
Gated DeltaNet has beta up to 2 (arXiv:2411.12537): negative eigenvalues, without which no product
of its transitions permutes. A letter swaps two places, which one such transition does.

Measured at scale=cpu, share of words solved: attention 0.017 [0.014, 0.020], Gated DeltaNet 0.84
[0.46, 1], without negative eigenvalues 0.65 [0.33, 0.97], hybrid 0.70 [0.50, 0.89]; of copies no
family leads beyond its interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from experiments.config.data import DataConfig
from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
    RunConfig,
    Science,
)
from experiments.config.schedule import ScheduleConfig
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.shapes import plain
from scaling.parametrization.parametrization import Parametrization

DELTA = "gated_delta:beta=2"
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "attention": ("attention",),
    "gated_delta": (DELTA,),
    "gated_delta_positive": ("gated_delta",),  # beta up to 1, the control
    "hybrid": (DELTA, "attention"),
}


def _words(room: int) -> tuple[str, float]:
    """Words of 1, 2, ... letters, each with "=" and an answer, and a separator before all.

    They fill less than a window, so that documents begin at all places of windows: where none ever
    begins at the first, no state has seen the separator before them.
    """
    words = int((math.sqrt(25 + 8 * (room - 2)) - 5) / 2)
    return f"words={words}&swaps=1", words * (words + 5) / 2


# Of a source: its settings for windows of so many bytes, and the bytes of a document in the mean
TASKS: Mapping[str, Callable[[int], tuple[str, float]]] = {
    "word_problem": _words,
    "copies": lambda room: (f"length={room // 2 - 4}&letters=8&lines=1", room / 2 + 4),
}


@dataclass(frozen=True)
class Scale:
    """One size of the study: the same design, other numbers."""

    width: int
    layers: int
    head_dim: int
    tokens: int
    seeds: int
    batch: BatchConfig
    learning_rate: float  # at base_width
    base_width: int


SCALES: Mapping[str, Scale] = {
    "cpu": Scale(
        width=32,
        layers=2,
        head_dim=8,
        tokens=2**21,
        seeds=3,
        batch=BatchConfig(sequences=16, seq_len=64),
        learning_rate=0.0088,
        base_width=32,
    ),
    "gpu": Scale(
        width=256,
        layers=4,
        head_dim=64,
        tokens=2**28,
        seeds=5,
        batch=BatchConfig(sequences=64, seq_len=512),
        learning_rate=4e-3,
        base_width=256,
    ),
}


def study(scale: Literal["cpu", "gpu"] = "cpu", seed: int = 0) -> Study:
    """Every family on both tasks, with several seeds."""
    s = SCALES[scale]
    return Study(
        name="state_tracking",
        question="Which architecture can follow a state, and which can copy?",
        runs=tuple(
            Run(_config(s, FAMILIES[name], task, 100 * seed + k), 0, label=name)
            for task in TASKS
            for name in FAMILIES
            for k in range(s.seeds)
        ),
        law=None,
        reading="state_tracking",
    )


def _config(s: Scale, pattern: tuple[str, ...], task: str, seed: int) -> RunConfig:
    settings, size = TASKS[task](s.batch.seq_len)
    return RunConfig(
        Science(
            model=plain(s.width, s.layers, s.head_dim, pattern=pattern),
            parametrization=Parametrization("mup", s.base_width, s.head_dim),
            optimizer=OptimizerConfig(learning_rate=s.learning_rate, beta2=0.99, weight_decay=0.1),
            schedule=ScheduleConfig("linear", warmup_fraction=0.05, final_fraction=0.0),
            batch=s.batch,
            budget=BudgetConfig(s.tokens),
            data=DataConfig(
                source=task,
                # every token is seen once, and some documents are for validation
                path=f"{settings}&documents={round(1.2 * s.tokens / size)}",
            ),
            evaluation=EvaluationConfig(windows=256, tasks=("answers",)),
            seed=seed,
        )
    )
