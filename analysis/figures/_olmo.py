"""Step 2 of the OLMo ladder, and the picture of its eight tasks (Bhagia 2024).

    accuracy = a / (1 + exp(-k (L - x))) + b

The fit sees all checkpoints but a run's first tenth, in running means of five, and the point of no
loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares

from analysis.datasets import load
from analysis.plotting.style import FITTED, HELD, INK, MUTED, house_style, log_ticks
from scaling.laws._law import Array

if TYPE_CHECKING:
    import pandas as pd

SMOOTHED, SKIPPED = 5, 0.1  # checkpoints of a mean, and the first share of a run left out
START, LOW, HIGH = (-0.75, 0.9, 3.0, 1.0), (-1, 0, 0, 0), (0, np.inf, np.inf, 1)


@dataclass(frozen=True)
class Task:
    """Checkpoints of a task: those of the ladder, and those of the 13B target."""

    name: str
    ladder: pd.DataFrame
    target: pd.DataFrame

    @property
    def accuracy(self) -> float:
        """Of the target, measured."""
        return float(smooth(self.target["accuracy"])[-1])


def tasks(names: Iterable[str]) -> Iterator[Task]:
    table = load("olmo_ladder_tasks")
    for name in names:
        own = table[table["task"] == name]
        yield Task(name, own[~own["is_target"]], own[own["is_target"]])


def sigmoid(x: Any, a: float, x0: float, k: float, b: float) -> Any:
    return a / (1 + np.exp(-k * (x - x0))) + b


def smooth(values: pd.Series) -> Array:
    return values.rolling(SMOOTHED, min_periods=1).mean().to_numpy()


def ends(runs: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run, with the mean loss of its last checkpoints."""
    last = runs[runs["last"]].set_index("run_id", drop=False)
    means = {name: own["loss"].iloc[-SMOOTHED:].mean() for name, own in runs.groupby("run_id")}
    return last.assign(loss=[means[name] for name in last.index])


def link(runs: pd.DataFrame) -> Array:
    """a, x, k and b by least squares."""
    losses, hits = [np.array([0.0])], [np.array([1.0])]
    for _, own in runs.groupby("run_id"):
        first = int(np.ceil(SKIPPED * len(own)))
        losses.append(smooth(own["loss"].iloc[first:]))
        hits.append(smooth(own["accuracy"].iloc[first:]))
    x, y = np.concatenate(losses), np.concatenate(hits)
    found = least_squares(
        lambda theta: sigmoid(x, *theta) - y, START, bounds=(LOW, HIGH), xtol=1e-12, ftol=1e-12
    )
    made: Array = found.x
    return made


@dataclass(frozen=True)
class Panel:
    """Accuracy of a task against x: points of the ladder, a curve, two points of the target."""

    task: Task
    points: pd.DataFrame
    curve: tuple[Array, Array]
    predicted: tuple[float, float]
    measured: tuple[float, float]


def draw(panels: list[Panel], x: str, xlabel: str, curve: str, *, log: bool = False) -> Any:
    """Panels in two columns; `x` is the column of the points, `curve` the name of the line."""
    from matplotlib.figure import Figure

    dot = {"marker": "o", "ms": 3.5} if log else {"marker": ".", "ms": 1.5}
    with house_style():
        figure = Figure(figsize=(6.5, 7.5), layout="constrained")
        every = figure.subplots(4, 2).ravel()
        for axes, panel in zip(every, panels, strict=True):
            points = panel.points
            axes.plot(points[x], points["accuracy"], ls="", color=MUTED, label="ladder", **dot)
            axes.plot(*panel.curve, color=INK, lw=1.0, label=curve)
            axes.plot(*panel.predicted, "D", ms=5, color="none", markeredgecolor=FITTED,
                      label="13B, predicted")  # fmt: skip
            axes.plot(*panel.measured, "*", ms=8, color=HELD, label="13B, measured")
            axes.set(title=panel.task.name, xlabel=xlabel, ylabel="accuracy")
            if log:
                axes.set_xscale("log")
                log_ticks(axes.xaxis, *axes.get_xlim())
        figure.legend(*every[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return figure
