"""Exponents of learning curves by family: best error, and best size, against the training set.

    eps(m) = a m^b_g    least loss over sizes and epochs, in the power-law region of the curve
    s(m)   = c m^b_p    parameters of the model that has it

m is the tokens of a subset (Hestness et al. 2017, arXiv 1712.00409; `learning_regions` finds the
region). Both are lines in logarithms by least squares, with intervals by Student's t. A difference
of two families has Welch's degrees of freedom. Subsets are nested and share their validation text,
so what moves all points alike is not in an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analysis.estimators.learning_regions import LEAST_SIZES, Region, regions
from analysis.fitting.bootstrap import student_t
from analysis.fitting.types import LEVEL
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import Array
from analysis.tables.study import StudyRecords
from experiments.record import Status
from scaling.common.errors import UserError

SAMPLES = "unique_by_source.subset"
LEAST = 3  # points of a line with an interval


class Slope(NamedTuple):
    """The slope of a line, its standard error and its degrees of freedom."""

    value: float
    error: float
    freedom: float

    def __sub__(self, other: Slope) -> Slope:
        """The difference of two, with the degrees of freedom of Welch and Satterthwaite."""
        squares = [one.error**2 for one in (self, other)]
        shares = sum(v**2 / one.freedom for v, one in zip(squares, (self, other), strict=True))
        freedom = sum(squares) ** 2 / shares if shares else min(self.freedom, other.freedom)
        return Slope(self.value - other.value, sum(squares) ** 0.5, freedom)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of its 95 % interval."""
        reach = student_t(LEVEL, self.freedom) * self.error
        return self.value - reach, self.value + reach

    def __str__(self) -> str:
        low, high = self.ends
        return f"{self.value:.4f} [{low:.4f}, {high:.4f}]"


@dataclass(frozen=True)
class Curve:
    """One family: for each subset the least loss, the size that has it, and its region.

    Attributes:
        error: b_g over the power-law region, None with fewer than three subsets in it.
        size: b_p over the same.
    """

    samples: Array
    loss: Array
    params: Array
    middle: Any
    error: Slope | None
    size: Slope | None


@dataclass(frozen=True)
class Curves:
    """The curves of all families."""

    study: StudyRecords
    families: Mapping[str, Curve]
    notes: Sequence[str] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def differences(self) -> Mapping[tuple[str, str], Slope]:
        """b_g of the first family less that of the second."""
        found = {name: curve.error for name, curve in self.families.items() if curve.error}
        return {(a, b): found[a] - found[b] for a, b in combinations(found, 2)}

    def __str__(self) -> str:
        if not self.differences:
            return "no two families have a power-law region of three subsets"
        texts = []
        for (a, b), found in self.differences.items():
            low, high = found.ends
            verdict = "no difference shown" if low <= 0 <= high else "they differ"
            texts.append(f"exponent of {a} less that of {b}: {found}, {verdict}")
        return "; ".join(texts)

    @property
    def tables(self) -> Sequence[TextTable]:
        rows = tuple(
            (name, f"{int(curve.middle.sum())} of {len(curve.samples)}",
             str(curve.error or "-"), str(curve.size or "-"))
            for name, curve in self.families.items()
        )  # fmt: skip
        exponents = TextTable(
            "Exponents of the learning curves",
            "of the least loss and of the size that has it, against the training set, in the "
            "power-law region; 95 % intervals by Student's t",
            ("family", "subsets in the region", "loss, b_g", "size, b_p"),
            rows,
        )
        points = TextTable(
            "Best runs",
            "the least loss over sizes and epochs on each subset",
            ("family", "tokens", f"loss, {self.study.unit}", "parameters", "in the region"),
            tuple(
                (name, f"{m:,.0f}", f"{loss:.4f}", f"{size:,.0f}", "yes" if own else "no")
                for name, c in self.families.items()
                for m, loss, size, own in zip(c.samples, c.loss, c.params, c.middle, strict=True)
            ),
        )
        return exponents, points

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "learning_curves",
                partial(draw, self),
                "Learning curves by family, and the best sizes.",
                "Full points lie in the power-law region of their curve.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def read(study: StudyRecords) -> Curves | None:
    """The curves of the families that finished on five subsets or more; None before there is one.

    Raises:
        UserError: the runs draw from no source named subset.
    """
    done = study.runs[study.runs["status"] == str(Status.COMPLETED)]
    if done.empty:
        return None
    if SAMPLES not in done:
        raise UserError(f"{study.folder}: no source named subset, whose unique tokens are the data")
    found = {}
    for name, rows in done.groupby("label", sort=False):
        best = rows.loc[rows.groupby(SAMPLES)[study.loss].idxmin()].sort_values(SAMPLES)
        if len(best) >= LEAST_SIZES:
            columns = (SAMPLES, study.loss, study.params)
            found[str(name)] = _curve(*(best[each].to_numpy(float) for each in columns))
    return Curves(study, found) if found else None


def _curve(samples: Array, loss: Array, params: Array) -> Curve:
    import pandas as pd

    middle = regions(pd.DataFrame({"samples": samples, "loss": loss})).rows(Region.POWER_LAW)
    x = np.log(samples[middle])
    error, size = (
        _slope(x, np.log(y[middle])) if middle.sum() >= LEAST else None for y in (loss, params)
    )
    return Curve(samples, loss, params, middle, error, size)


def _slope(x: Array, y: Array) -> Slope:
    """By least squares."""
    off, freedom = x - x.mean(), len(x) - 2
    value = float(off @ y / (off @ off))
    rest = y - y.mean() - value * off
    return Slope(value, float((rest @ rest / freedom / (off @ off)) ** 0.5), float(freedom))


def draw(found: Curves) -> Any:
    """Loss above size, both against the training set, in logarithms."""
    from matplotlib.figure import Figure

    from analysis.plotting.style import SIZE, house_style, log_log, rung_style

    with house_style():
        figure = Figure(figsize=(SIZE[0], 1.6 * SIZE[1]), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for place, (name, curve) in enumerate(found.families.items()):
            look = rung_style(place, len(found.families))
            for axes, y in ((above, curve.loss), (below, curve.params)):
                axes.plot(curve.samples, y, label=name, **look, markerfacecolor="none")
                axes.plot(curve.samples[curve.middle], y[curve.middle], **{**look, "ls": ""})
        log_log(above, "tokens of the training set", f"loss, {found.study.unit}")
        log_log(below, "tokens of the training set", "best size, parameters")
        above.legend()
    return figure
