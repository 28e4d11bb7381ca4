"""Share of determined answers that each family solves, by task, over seeds.

    solved = 1 - nats of an answer / nats by chance

of the evaluation task `answers`: 1 knows all, 0 guesses. Intervals are by Student's t over seeds;
they end at 1, the most. "late" are the last quarter of a document's answers. A family leads a task
where its interval lies above all others'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.types import LEVEL
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

SOLVED, LATE = "evaluations.answers.solved", "evaluations.answers.solved_late"


@dataclass(frozen=True)
class Solved:
    """Of each task and family: runs, and the mean share of all and of late answers."""

    cells: Mapping[tuple[str, str], tuple[int, Ranged, Ranged]]
    notes: Sequence[str] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def leaders(self) -> Mapping[str, str]:
        """The family whose interval lies above all others', by task; "none" without one."""
        found = {}
        for task in dict.fromkeys(task for task, _ in self.cells):
            ends = {name: each[1] for (own, name), each in self.cells.items() if own == task}
            best = max(ends, key=lambda name: ends[name][0])
            above = all(ends[best][1] > each[2] for name, each in ends.items() if name != best)
            found[task] = best if above else "none"
        return found

    def __str__(self) -> str:
        return "leads beyond its interval: " + ", ".join(
            f"{task} {name}" for task, name in self.leaders.items()
        )

    @property
    def tables(self) -> Sequence[TextTable]:
        rows = tuple(
            (task, name, str(runs), _three(whole), _three(late))
            for (task, name), (runs, whole, late) in self.cells.items()
        )
        return (
            TextTable(
                "Answers solved",
                "1 knows all answers and 0 guesses; 95 % intervals by Student's t over seeds",
                ("task", "family", "runs", "solved", "the last quarter"),
                rows,
            ),
        )

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "solved",
                partial(draw, self),
                "Share of answers solved by each family.",
                "A panel for each task, with 95 % intervals over seeds.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def _three(ends: Ranged) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*ends) if np.isfinite(ends[1]) else f"{ends[0]:.3f}"


def _mean(values: Any) -> Ranged:
    """The mean and its interval, which ends at 1; infinite for a single value."""
    found = np.asarray(values, float)
    if len(found) < 2:
        return float(found.mean()), float("-inf"), float("inf")
    reach = student_t(LEVEL, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return float(found.mean()), float(found.mean() - reach), min(1.0, float(found.mean() + reach))


def read(study: StudyRecords) -> Solved | None:
    """The shares of the finished runs; None before there is any.

    Raises:
        UserError: they were not evaluated on the task.
    """
    done = study.fit_runs
    if done.empty:
        return None
    if SOLVED not in done:
        raise UserError(f"{study.folder}: no answers in the record; set evaluation.tasks=answers")
    cells = {
        (str(task), str(name)): (len(rows), _mean(rows[SOLVED]), _mean(rows[LATE]))
        for (task, name), rows in done.groupby(["data.source", "label"], sort=False)
    }
    return Solved(cells)


def draw(found: Solved) -> Any:
    """A panel for each task, a point with its interval for each family."""
    from matplotlib.figure import Figure

    from analysis.plotting.style import FITTED, SIZE, house_style

    tasks = list(dict.fromkeys(task for task, _ in found.cells))
    with house_style():
        figure = Figure(figsize=(SIZE[0] * len(tasks), SIZE[1]), layout="constrained")
        for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            own = {name: each[1] for (at, name), each in found.cells.items() if at == task}
            for place, (value, low, high) in enumerate(own.values()):
                axes.plot(place, value, marker="o", color=FITTED)
                if np.isfinite(low):
                    axes.vlines(place, low, high, color=FITTED)
            axes.set_xticks(range(len(own)), list(own), rotation=20)
            axes.set(title=task, ylabel="solved")
    return figure
