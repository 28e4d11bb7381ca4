"""Losses of families at equal time of one core, and the hours at which the better one changes.

    L(h) = A / h^alpha    of the best size of each class, h its hours after the first dispatch

Programs are compiled in the first dispatch of a run. The better family changes where the two laws
cross, searched from the least hours measured to 10^6 times the most. Its interval is of the laws'
constants, by resampled classes. It may be none: then most resamples do not cross in the range.
Stanic et al. 2023, arXiv:2309.11197.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.compute_gain import Crossing, crossing
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from experiments.record import Status
from scaling.laws import by_name

if TYPE_CHECKING:
    import pandas as pd

HOURS, SECONDS, FIRST = "hours", "wall_seconds", "first_dispatch_seconds"
BOOTSTRAP = 400
LEAST = 4  # classes of a law
BEYOND = 1e6  # times the most hours that were measured
SHARE = 0.5  # of resamples without a crossing, from which on its interval is none


@dataclass(frozen=True)
class Classes:
    """The best run of each class and family, their laws, and the crossings of every two."""

    study: StudyRecords
    best: pd.DataFrame
    laws: Mapping[str, FitResult]
    crossings: Mapping[tuple[str, str], Crossing]
    predictions: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join(_said(a, b, found) for (a, b), found in self.crossings.items())

    @property
    def notes(self) -> Sequence[str]:
        """Classes whose families did not take the same time."""
        spans = self.best.groupby("rung")[HOURS].agg(lambda hours: hours.max() / hours.min())
        uneven = [f"{rung}: {span:.2f}" for rung, span in spans.items() if span > 1.1]
        if not uneven:
            return ()
        return (
            "families of one class took different times, so other work ran beside or the speed "
            f"was measured otherwise; longest over shortest of class {', '.join(uneven)}",
        )

    @property
    def tables(self) -> Sequence[TextTable]:
        rows = tuple(
            (str(row["rung"]), str(row["label"]), f"{60 * row[HOURS]:.2f}",
             f"{row[self.study.params]:,.0f}", f"{row[self.study.loss]:.4f}")
            for row in self.best.to_dict("records")
        )  # fmt: skip
        classes = TextTable(
            "Compute classes",
            "the best size of each family in each class",
            ("class", "family", "core-minutes", "parameters", f"loss, {self.study.unit}"),
            rows,
        )
        crossed = TextTable(
            "Crossings",
            f"hours at which the better family changes, up to {BEYOND:.0e} times those measured",
            ("families", "better before", "hours", "95 % interval", "resamples without"),
            tuple(
                (f"{a}, {b}", a if found.better == "a" else b, _hours(found.budget),
                 _interval(found), f"{found.without:.0%}")
                for (a, b), found in self.crossings.items()
            ),
        )  # fmt: skip
        return classes, crossed

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "classes",
                partial(draw, self),
                "Loss of the best size against the time of one core.",
                "Lines are the laws of the families.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def _hours(value: float) -> str:
    return f"{value:.3g}" if 0 < value < math.inf else "none"


def _interval(found: Crossing) -> str:
    if not found.without < SHARE:
        return "none"
    return f"[{found.low:.3g}, {found.high:.3g}]"


def _said(a: str, b: str, found: Crossing) -> str:
    better, other = (a, b) if found.better == "a" else (b, a)
    if math.isinf(found.budget):
        return f"{better} has the lower loss at all hours searched: no crossing with {other}"
    return (
        f"{better} has the lower loss up to {found.budget:.3g} hours, {other} beyond; "
        f"interval {_interval(found)}"
    )


def read(study: StudyRecords) -> Classes | None:
    """The laws of the families with four finished classes; None before there are two."""
    done = study.runs[study.runs["status"] == str(Status.COMPLETED)]
    if done.empty:
        return None
    best = done.loc[done.groupby(["label", "rung"], sort=False)[study.loss].idxmin()]
    best = best.assign(**{HOURS: (best[SECONDS] - best[FIRST]) / 3600}).sort_values(
        ["rung", "label"]
    )
    laws = {
        str(name): fit(
            by_name("power_law_no_offset"),
            rows[["run_id", "status", HOURS, study.loss]],
            loss=study.loss,
            x=HOURS,
            objective="log_squared",
            bootstrap=BOOTSTRAP,
        )
        for name, rows in best.groupby("label", sort=False)
        if len(rows) >= LEAST
    }
    if len(laws) < 2:
        return None
    between = (float(best[HOURS].min()), BEYOND * float(best[HOURS].max()))
    crossings = {
        (a, b): crossing(laws[a], laws[b], between=between) for a, b in combinations(laws, 2)
    }
    return Classes(study, best, laws, crossings)


def draw(found: Classes) -> Any:
    """Points and a line for each family."""
    import numpy as np
    from matplotlib.figure import Figure

    from analysis.plotting.style import SIZE, house_style, log_log, rung_style

    with house_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        hours = np.geomspace(found.best[HOURS].min(), 10 * found.best[HOURS].max(), 50)
        for place, (name, law) in enumerate(found.laws.items()):
            look = rung_style(place, len(found.laws))
            rows = found.best[found.best["label"] == name]
            axes.plot(rows[HOURS], rows[found.study.loss], label=name, **{**look, "ls": ""})
            curve = law.law.predict(law.params, **{law.law.variables[0]: hours})
            axes.plot(hours, curve, **{**look, "marker": ""})
        log_log(axes, "hours of one core", f"loss, {found.study.unit}")
        axes.legend()
    return figure
