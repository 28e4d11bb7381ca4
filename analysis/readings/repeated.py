"""Runs in which a part of the tokens comes again and again: the size that each is worth.

The clean runs of the study fit L(N); analysis/inference/effective_size.py inverts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.effective_size import EffectiveSize, Peak, effective_size, peak
from analysis.plotting.numbers import quantity
from analysis.plotting.style import LINES, MARKERS, MUTED, RAMP, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

CLEAN, AGAIN = "clean", "again"  # the label of runs without repeats; the name of what repeats
RESAMPLES = 200
FEWEST = 4  # sizes of the clean law


@dataclass(frozen=True)
class Worth:
    """One run: its size, the share of its tokens that repeat and how often, and its worth."""

    params: float
    share: float
    repeats: float
    loss: float
    size: EffectiveSize

    @property
    def ratio(self) -> Ranged:
        """N_eff / N with its interval."""
        size = self.size
        return size.value / self.params, size.low / self.params, size.high / self.params


@dataclass(frozen=True)
class Repeated:
    """The clean law, each run's worth, and the most harmful repeats by (params, share)."""

    clean: FitResult
    runs: tuple[Worth, ...]
    peaks: Mapping[tuple[float, float], Peak]
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.clean.warnings

    def __str__(self) -> str:
        worst = min(self.runs, key=lambda run: run.size.value / run.params)
        return (
            f"{100 * worst.share:.0f} % of the tokens seen {worst.repeats:.0f} times make a model "
            f"of {quantity(worst.params)} parameters worth {_ratio(worst)} of its size"
        )

    @property
    def tables(self) -> tuple[TextTable, ...]:
        return (
            TextTable(
                "What each run is worth",
                "N_eff / N by the inverse of the clean law, with 95 % intervals",
                ("params", "share that repeats", "times", "loss", "N_eff / N"),
                tuple(
                    (
                        quantity(run.params),
                        f"{100 * run.share:.0f} %",
                        f"{run.repeats:.0f}",
                        f"{run.loss:.4f}",
                        _ratio(run),
                    )
                    for run in self.runs
                ),
            ),
            TextTable(
                "The most harmful number of repeats",
                "top of a parabola in ln repeats; the last column is the share of draws of the "
                "noise that have one inside the tried range",
                ("params", "share that repeats", "repeats", "inside"),
                tuple(
                    (quantity(params), f"{100 * share:.0f} %", _top(found), f"{found.inside:.0%}")
                    for (params, share), found in self.peaks.items()
                ),
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "repeated",
                lambda: draw(self),
                "The size that a run is worth, against the repeats of a part of its tokens.",
                "Each line is one size and one share; the bars are 95 % intervals.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Repeated | None:
    """The worth of every finished run with repeats; None before there is any.

    Raises:
        UserError: fewer than `FEWEST` sizes are clean, so there is no law to invert.
    """
    done = study.fit_runs
    repeats = f"epochs_by_source.{AGAIN}"
    if done.empty or repeats not in done or not (done["label"] != CLEAN).any():
        return None
    clean = done[done["label"] == CLEAN]
    if clean[study.params].nunique() < FEWEST:
        raise UserError(
            f"{study.folder}: {clean[study.params].nunique()} sizes without repeats; the clean law "
            f"needs {FEWEST} or more"
        )
    law = fit(
        "power_law", clean, loss=study.loss, x=study.params, bootstrap=RESAMPLES,
        objective="log_squared",
    )  # fmt: skip
    rows = done[done["label"] != CLEAN].sort_values(
        [study.params, f"weights_by_source.{AGAIN}", repeats]
    )
    runs = tuple(_worth(law, row, study, repeats) for _, row in rows.iterrows())
    cells: dict[tuple[float, float], list[Worth]] = {}
    for run in runs:
        cells.setdefault((run.params, round(run.share, 4)), []).append(run)
    peaks = {
        cell: peak(np.array([r.repeats for r in own]), np.array([r.loss for r in own]), law.noise)
        for cell, own in cells.items()
        if len(own) >= 3
    }
    return Repeated(law, runs, peaks)


def _worth(law: FitResult, row: pd.Series, study: StudyRecords, repeats: str) -> Worth:
    loss = float(row[study.loss])
    return Worth(
        params=float(row[study.params]),
        share=float(row[f"weights_by_source.{AGAIN}"]),
        repeats=float(row[repeats]),
        loss=loss,
        size=effective_size(law, loss),
    )


def _ratio(run: Worth) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*run.ratio)


def _top(found: Peak) -> str:
    if np.isnan(found.repeats):
        return "none inside"
    return f"{found.repeats:.0f} [{found.low:.0f}, {found.high:.0f}]"


def draw(found: Repeated) -> Any:
    """N_eff / N against repeats."""
    from matplotlib.figure import Figure

    cells = list(dict.fromkeys((run.params, run.share) for run in found.runs))
    sizes = sorted({params for params, _ in cells})
    shares = sorted({share for _, share in cells})
    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for params, share in cells:
            own = [run for run in found.runs if (run.params, run.share) == (params, share)]
            ratio = np.array([run.ratio for run in own])
            axes.errorbar(
                [run.repeats for run in own], ratio[:, 0],
                yerr=np.abs(ratio[:, 1:].T - ratio[:, 0]),
                marker=MARKERS[sizes.index(params) % len(MARKERS)], capsize=2,
                linestyle=LINES[shares.index(share) % len(LINES)], lw=1,
                color=RAMP[(2 + 2 * sizes.index(params)) % len(RAMP)],
                label=f"{quantity(params)}, {100 * share:.0f} %",
            )  # fmt: skip
        axes.axhline(1, color=MUTED, lw=0.8)
        axes.set(xscale="log", xlabel="times that the part comes", ylabel="$N_{eff}/N$")
        axes.legend(title="parameters, share", fontsize=8)
        return figure
