"""Predicted accuracies of the held-out size on each task, by every chain, and what it measured.

Chains: analysis/inference/abilities/chains. Each is fitted to the completed runs of the fit alone,
so the held-out run is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.inference.abilities.answers import Answers, answers_of
from analysis.inference.abilities.predict import (
    OF_SAMPLES,
    Predicted,
    Steadiness,
    predict_all,
    steadiness,
)
from analysis.plotting.numbers import quantity
from analysis.plotting.style import FITTED, HELD, MUTED, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from experiments.record import load_items
from scaling.common.errors import UserError

SHOWN = "direct"  # the chain that the figure draws


@dataclass(frozen=True)
class Abilities:
    """The answers of the fitted runs by task, the predictions, and the held-out measurement."""

    answers: tuple[Answers, ...]
    target: float  # parameters
    made: tuple[Predicted, ...]
    steady: Mapping[str, tuple[Steadiness, ...]]
    measured: Mapping[str, float]  # by task; empty before the held-out run has ended
    notes: tuple[str, ...] = ()

    @property
    def predictions(self) -> Mapping[str, float]:
        """Value, low and high of each chain on each task."""
        return {
            f"{each.name}{end}": value
            for each in self.made
            if not each.refused
            for end, value in (("", each.value), (".low", each.low), (".high", each.high))
        }

    def __str__(self) -> str:
        said = f"{len(self.answers)} tasks predicted for {quantity(self.target)} parameters"
        if not self.measured:
            return said
        judged = [
            each.low <= self.measured[each.task] <= each.high
            for each in self.made
            if not each.refused and each.chain != OF_SAMPLES
        ]
        return f"{said}; {sum(judged)} of {len(judged)} measurements lie in their intervals"

    @property
    def tables(self) -> Sequence[TextTable]:
        rows = tuple(
            (
                each.task,
                each.chain,
                each.refused or f"{each.value:.3f} [{each.low:.3f}, {each.high:.3f}]",
                f"{self.measured[each.task]:.3f}" if self._compares(each) else "",
            )
            for each in self.made
        )
        steady = tuple(
            (task, each.measure, f"{each.signal:.3g}", _number(each.noise, ".2g"),
             _number(each.ratio, ".1f"), _percent(each.decision), _percent(each.monotone),
             f"{each.rank:.2f}")
            for task, found in self.steady.items() for each in found
        )  # fmt: skip
        return (
            TextTable(
                "Predicted accuracy",
                f"of {quantity(self.target)} parameters, 95 % intervals over items, seeds and fits",
                ("task", "chain", "predicted", "measured"),
                rows,
            ),
            TextTable(
                "Steadiness of the measures",
                "signal: range over sizes; noise: sd over seeds; decision: pairs of sizes in "
                "order; rank: Spearman with the size, median over items",
                ("task", "measure", "signal", "noise", "ratio", "decision", "rising", "rank"),
                steady,
            ),
        )

    def _compares(self, each: Predicted) -> bool:
        return each.task in self.measured and each.chain != OF_SAMPLES

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "abilities",
                lambda: draw(self),
                "Accuracy against parameters, task by task.",
                "Dots: runs of the fit; bar: predicted by the direct sigmoid; star: measured; "
                "dotted: a guess.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def read(study: StudyRecords) -> Abilities | None:
    """The predictions for the first held-out size; None before any run has finished.

    Raises:
        UserError: the study holds out no size, or the runs have answered no items.
    """
    done, held = study.fit_runs, study.held_out
    if done.empty:
        return None
    if held.empty:
        raise UserError(f"{study.folder}: the study holds out no size to predict")
    target = float(held[study.params].iloc[0])
    rows = load_items(study.folder)
    params = {str(row["run_id"]): float(row[study.params]) for _, row in done.iterrows()}
    choices = rows[rows["kind"] == "choice"]
    tasks = sorted(map(str, choices["task"].unique()))
    answers = tuple(answers_of(rows, params, task) for task in tasks)
    names = [str(name) for name in study.held_out_done["run_id"]]
    measured = {}
    if names:
        sizes = dict.fromkeys(names, target)
        measured = {task: float(answers_of(rows, sizes, task).hits.mean()) for task in tasks}
    return Abilities(
        answers,
        target,
        predict_all(answers, target),
        {each.task: steadiness(each) for each in answers},
        measured,
    )


def _number(value: float, form: str) -> str:
    """The number, or a dash of one seed a size."""
    return "-" if np.isnan(value) else f"{value:{form}}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.0f} %"


def draw(found: Abilities) -> Any:
    """Accuracy against parameters, one panel a task."""
    from matplotlib.figure import Figure

    columns = min(4, len(found.answers))
    lines = -(-len(found.answers) // columns)
    said = {each.task: each for each in found.made if each.chain == SHOWN}
    with house_style():
        figure = Figure(figsize=(2.2 * columns, 1.9 * lines), layout="constrained")
        every = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        panels = np.ravel(every)
        for axes, answers in zip(panels, found.answers, strict=False):
            each = said[answers.task]
            axes.plot(answers.params, answers.hits.mean(1), "o", ms=3, color=FITTED)
            if not each.refused:
                axes.vlines(found.target, each.low, each.high, color=HELD, lw=2)
            if answers.task in found.measured:
                axes.plot(found.target, found.measured[answers.task], "*", color=HELD)
            axes.axhline(answers.chance, color=MUTED, lw=0.8, linestyle=":")
            axes.set(xscale="log", title=answers.task, ylim=(0, 1.02), xlabel="parameters")
            axes.set_ylabel("accuracy")
        for axes in panels:
            axes.label_outer()
        for axes in panels[len(found.answers) :]:
            axes.set_axis_off()
        return figure
