"""Rows that were kept out of a fit, predicted and compared with their measurement."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.fitting.types import Prediction
from analysis.tables.points import Array, Points
from scaling.common.tables import table

SHOWN = 12


@dataclass(frozen=True)
class HeldOut:
    """m held-out rows, and their prediction at `level`: intervals of new runs, nan without
    resamples."""

    points: Points = field(repr=False)
    prediction: Prediction
    level: float

    @property
    def predicted(self) -> Array:
        return self.prediction.value

    @property
    def low(self) -> Array:
        return self.prediction.low

    @property
    def high(self) -> Array:
        return self.prediction.high

    @property
    def has_intervals(self) -> bool:
        return not bool(np.isnan(self.low).any())

    @property
    def labels(self) -> tuple[str, ...]:
        return self.points.labels

    @property
    def measured(self) -> Array:
        return self.points.loss

    @property
    def relative_error(self) -> Array:
        """(measured - predicted) / predicted, as residuals are measured above fitted."""
        return self.measured / self.predicted - 1

    @property
    def coverage(self) -> float:
        """Share of rows whose measurement lies in their interval; nan where there is none."""
        if not self.has_intervals:
            return float("nan")
        return float(np.mean((self.low <= self.measured) & (self.measured <= self.high)))

    @property
    def interval_score(self) -> float:
        """Mean of w + 2 d / (1 - level) in log loss: w the width, d how far the measurement lies
        outside. Least where the interval is honest and narrow (Winkler 1972); nan where none is."""
        low, high, loss = np.log(self.low), np.log(self.high), np.log(self.measured)
        outside = np.maximum(low - loss, 0) + np.maximum(loss - high, 0)
        return float(np.mean(high - low + 2 * outside / (1 - self.level)))

    @property
    def mean_absolute_error(self) -> float:
        """Mean of |relative error|."""
        return float(np.mean(np.abs(self.relative_error)))

    def __str__(self) -> str:
        inside = (
            f"{100 * self.coverage:.0f} % inside their {100 * self.level:.0f} % intervals "
            f"({self.prediction.contains})"
            if self.has_intervals
            else self.prediction.without
        )
        said = (
            f"{len(self.labels)} rows held out: mean |error| "
            f"{100 * self.mean_absolute_error:.2f} %, "
            f"worst {100 * np.abs(self.relative_error).max():.2f} %, {inside}"
        )
        if self.prediction.distance:
            said += f"; up to {self.prediction.distance}"
        columns = {
            "row": self.labels,
            "predicted": [f"{each:.4g}" for each in self.predicted],
            "interval": [
                f"[{low:.4g}, {high:.4g}]" for low, high in zip(self.low, self.high, strict=True)
            ],
            "measured": [f"{each:.4g}" for each in self.measured],
            "measured above": [f"{100 * each:+.2f} %" for each in self.relative_error],
        }
        if not self.has_intervals:
            del columns["interval"]
        rows = list(zip(*columns.values(), strict=True))
        more = len(rows) - SHOWN
        shown = table(tuple(columns), rows[:SHOWN])
        return f"{said}\n\n{shown}" + (f"\nand {more} more" if more > 0 else "")
