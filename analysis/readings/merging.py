"""Loss of merges against the number of experts and their size, with k and N held out.

    L(N, k) = L* + B N^-beta + A N^-gamma / (k + b)

The law (Wang et al. 2025, arXiv:2509.24244) is fitted to means over subsets. Its errors are at the
most experts and at the largest size, neither of which it saw. An expert alone has k = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.bootstrap import student_t
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import MARKERS, RAMP, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError

LAW = "merging"
EXPERT, AVERAGE, MULTITASK = "expert", "average", "multitask"
COUNT = "parents_count"
POINTS = 7  # one more than the law has parameters


@dataclass(frozen=True)
class Cell:
    """The merges of k experts of one size: mean loss, deviation over subsets, their number."""

    params: float
    experts: int
    loss: float
    deviation: float
    subsets: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean over subsets, by Student's t; nan of one subset."""
        if self.subsets < 2:
            return float("nan"), float("nan")
        reach = student_t(LEVEL, self.subsets - 1) * self.deviation / self.subsets**0.5
        return self.loss - reach, self.loss + reach


@dataclass(frozen=True)
class Merging:
    """The cells, the fitted law and its errors held out, and other methods at the most experts."""

    cells: tuple[Cell, ...]
    others: Mapping[str, Mapping[float, float]]  # loss by method and size
    law: FitResult | None
    unit: str
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def most(self) -> int:
        return max(cell.experts for cell in self.cells)

    @property
    def largest(self) -> float:
        return max(cell.params for cell in self.cells)

    def errors(self) -> dict[str, float]:
        """Mean relative error of the law where it did not see the size, or the number."""
        if self.law is None:
            return {}
        kept = {
            "held-out k": [c for c in self.cells if c.experts == self.most],
            "held-out N": [c for c in self.cells if c.params == self.largest],
        }
        return {
            name: float(np.mean([self._error(c) for c in cells])) for name, cells in kept.items()
        }

    def _error(self, cell: Cell) -> float:
        assert self.law is not None
        said = self.law.law.predict(self.law.estimates, params=cell.params, experts=cell.experts)
        return abs(float(said) / cell.loss - 1)

    def __str__(self) -> str:
        one, most = (self._at(self.largest, k) for k in (1, self.most))
        said = (
            f"at {quantity(self.largest)} parameters the average of {self.most} experts has "
            f"{most.loss:.3f} {self.unit}, an expert {one.loss:.3f}"
        )
        together = self.others.get(MULTITASK)
        if together and self.largest in together:
            said += f", and one run on all texts at equal compute {together[self.largest]:.3f}"
        errors = ", ".join(f"{100 * e:.1f} % at {name}" for name, e in self.errors().items())
        return f"{said}; the law errs by {errors}" if errors else said

    def _at(self, params: float, experts: int) -> Cell:
        return next(c for c in self.cells if (c.params, c.experts) == (params, experts))

    @property
    def tables(self) -> tuple[TextTable, ...]:
        rows = tuple(
            (
                quantity(c.params),
                str(c.experts),
                ranged((c.loss, *c.interval), ".3f"),
                f"{c.deviation:.4f}",
                str(c.subsets),
                f"{100 * self._error(c):.2f} %" if self.law else "",
            )
            for c in self.cells
        )
        methods = tuple(
            (name, quantity(params), f"{loss:.3f}")
            for name, losses in self.others.items()
            for params, loss in losses.items()
        )
        return (
            TextTable(
                "Averages of k experts",
                f"means over subsets in {self.unit}, with 95 % intervals by Student's t; the law "
                f"saw neither k = {self.most} nor the largest size",
                ("params", "k", "loss", "deviation", "subsets", "error of the law"),
                rows,
            ),
            TextTable(
                f"Other ways to use {self.most} experts",
                "multitask: one run on all texts, with the tokens of the experts together",
                ("method", "params", "loss"),
                methods,
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "merging",
                lambda: draw(self),
                "Loss of an average against its number of experts.",
                "Each line is one size, with the interval over subsets; dashed: the fitted law.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Merging | None:
    """The merges of the sizes that have an expert and the most; None before there is one.

    Raises:
        UserError: the runs name no parents.
    """
    done = study.fit_runs
    merges = done[done["label"].isin((EXPERT, AVERAGE))]
    if merges.empty or not (merges["label"] == AVERAGE).any():
        return None
    if COUNT not in merges:
        raise UserError(f"{study.folder}: the records name no parents; run the study merging")
    keys = [study.params, COUNT]
    cells = tuple(
        Cell(
            float(rows[study.params].iloc[0]),
            int(rows[COUNT].iloc[0]),
            float(rows[study.loss].mean()),
            float(rows[study.loss].std(ddof=1)) if len(rows) > 1 else float("nan"),
            len(rows),
        )
        for _, rows in merges.groupby(keys)
    )
    most = max(cell.experts for cell in cells)
    ends = [{c.params for c in cells if c.experts == k} for k in (1, most)]
    whole, every = ends[0] & ends[1], {cell.params for cell in cells}
    if not whole:
        return None
    cells = tuple(cell for cell in cells if cell.params in whole)
    rest = done[~done["label"].isin((EXPERT, AVERAGE)) & done[study.params].isin(whole)]
    others = {
        str(label): dict(
            zip(map(float, rows[study.params]), map(float, rows[study.loss]), strict=True)
        )
        for label, rows in rest.groupby("label", sort=False)
    }
    law, notes = _fitted(cells, study.loss)
    for params in sorted(every - whole):
        notes = (*notes, f"{quantity(params)} parameters: not all merges have finished; left out")
    return Merging(cells, others, law, study.unit, notes)


def _fitted(cells: tuple[Cell, ...], loss: str) -> tuple[FitResult | None, tuple[str, ...]]:
    """The law of the cells below the largest size and number, or the reason why there is none."""
    most, largest = max(c.experts for c in cells), max(c.params for c in cells)
    seen = [c for c in cells if c.experts < most and c.params < largest]
    if len(seen) < POINTS:
        return None, (f"no law: {len(seen)} cells below the largest size and number of experts",)
    rows = [{"params_total": c.params, COUNT: c.experts, loss: c.loss} for c in seen]
    found = fit(LAW, pd.DataFrame(rows), loss=loss)
    return found, tuple(found.warnings)


def draw(found: Merging) -> Any:
    """Loss against the number of experts, a line for each size."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for k, params in enumerate(sorted({c.params for c in found.cells})):
            own = sorted((c for c in found.cells if c.params == params), key=lambda c: c.experts)
            counts, losses = [c.experts for c in own], [c.loss for c in own]
            color = RAMP[(1 + k) % len(RAMP)]
            reach = [0 if np.isnan(c.interval[0]) else c.loss - c.interval[0] for c in own]
            axes.errorbar(
                counts, losses, reach, marker=MARKERS[k % len(MARKERS)], color=color, lw=1,
                label=f"{quantity(params)} parameters",
            )  # fmt: skip
            if found.law is not None:
                said = found.law.law.predict(found.law.estimates, params=params, experts=counts)
                axes.plot(counts, np.asarray(said), color=color, lw=0.8, linestyle="--")
        axes.set(xlabel="experts", ylabel=f"loss ({found.unit})")
        axes.legend(fontsize=8)
        return figure
