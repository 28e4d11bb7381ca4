"""Rows that were kept out of a fit, predicted and compared with their measurement.

The interval of a new run combines two independent parts: the bootstrap's, for the constants, and
Student's t times the residual rms, for the noise of one run,

    half-width in log loss = sqrt( b^2 + t_{n-P}^2 s^2 ),   on each side with its own b.

Without resamples the first part is missing, so there is no interval and no coverage. It excludes
the error of the law itself beyond the fitted rows. `analysis.inference.forecast` estimates that
error for studies, whose rungs can be rolled forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.reach import far
from analysis.fitting.types import Prediction
from analysis.tables.points import Array, Points
from scaling.common.tables import table

SHOWN = 12


@dataclass(frozen=True)
class HeldOut:
    """m held-out rows: predicted losses, and the ends of the interval at `level`, nan without
    resamples. `beyond` is the factor of each variable outside the fitted rows."""

    points: Points = field(repr=False)
    predicted: Array
    low: Array
    high: Array
    level: float
    beyond: Mapping[str, Array]

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
    def mean_absolute_error(self) -> float:
        """Mean of |relative error|."""
        return float(np.mean(np.abs(self.relative_error)))

    def __str__(self) -> str:
        inside = (
            f"{100 * self.coverage:.0f} % inside their {100 * self.level:.0f} % intervals"
            if self.has_intervals
            else "no intervals without bootstrap=1000 (--bootstrap 1000)"
        )
        said = (
            f"{len(self.labels)} rows held out: mean |error| "
            f"{100 * self.mean_absolute_error:.2f} %, "
            f"worst {100 * np.abs(self.relative_error).max():.2f} %, {inside}"
        )
        distance = far(self.beyond)
        if distance:
            said += f"; up to {distance}"
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


def evaluate(
    points: Points, prediction: Prediction, residuals: Array, constants: int, level: float
) -> HeldOut:
    """The interval of one new run at each row of `points`, around a prediction of a fit that has
    not seen them. `residuals` (n,) are that fit's, which has P = `constants`."""
    freedom = max(1, len(residuals) - constants)
    noise = student_t(level, freedom) * float(np.sqrt(np.sum(residuals**2) / freedom))

    def side(bootstrap: Array) -> Array:
        # the percentile interval need not hold the value itself: widths stay positive
        return np.hypot(np.maximum(0.0, bootstrap), noise)

    log_value = np.log(prediction.value)
    return HeldOut(
        points=points,
        predicted=prediction.value,
        low=np.exp(log_value - side(log_value - np.log(prediction.low))),
        high=np.exp(log_value + side(np.log(prediction.high) - log_value)),
        level=level,
        beyond=prediction.beyond,
    )
