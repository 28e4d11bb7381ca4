"""Rows that were kept out of a fit, predicted and compared with their measurement.

The interval of a new run combines two independent parts: the bootstrap's, for the constants, and
Student's t times the residual rms, for the noise of one run,

    half-width in log loss = sqrt( b^2 + t_{n-P}^2 s^2 ),   on each side with its own b.

It excludes the error of the law itself beyond the fitted rows. `analysis.inference.forecast`
estimates that error for studies, whose rungs can be rolled forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.types import Prediction
from analysis.tables.points import Array, Points
from scaling.common.tables import table

SHOWN = 12


@dataclass(frozen=True)
class HeldOut:
    """m held-out rows: predicted losses, and the ends of the interval at `level`."""

    points: Points
    predicted: Array
    low: Array
    high: Array
    level: float

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
        """Share of rows whose measurement lies in their interval."""
        return float(np.mean((self.low <= self.measured) & (self.measured <= self.high)))

    @property
    def mean_absolute_error(self) -> float:
        """Mean of |relative error|."""
        return float(np.mean(np.abs(self.relative_error)))

    def __str__(self) -> str:
        said = (
            f"{len(self.labels)} rows held out: mean |error| "
            f"{100 * self.mean_absolute_error:.2f} %, "
            f"worst {100 * np.abs(self.relative_error).max():.2f} %, "
            f"{100 * self.coverage:.0f} % inside their {100 * self.level:.0f} % intervals"
        )
        rows = [
            (label, f"{predicted:.4g}", f"[{low:.4g}, {high:.4g}]", f"{measured:.4g}",
             f"{100 * error:+.2f} %")
            for label, predicted, low, high, measured, error in zip(
                self.labels, self.predicted, self.low, self.high, self.measured,
                self.relative_error, strict=True,
            )
        ]  # fmt: skip
        head = ("row", "predicted", "interval", "measured", "measured above")
        more = len(rows) - SHOWN
        return f"{said}\n\n{table(head, rows[:SHOWN])}" + (f"\nand {more} more" if more > 0 else "")


def evaluate(
    points: Points, prediction: Prediction, residuals: Array, constants: int, level: float
) -> HeldOut:
    """The interval of one new run at each row of `points`, around a prediction of a fit that has
    not seen them. `residuals` (n,) are that fit's, which has P = `constants`."""
    freedom = max(1, len(residuals) - constants)
    noise = student_t(level, freedom) * float(np.sqrt(np.sum(residuals**2) / freedom))

    def side(bootstrap: Array) -> Array:
        if np.isnan(bootstrap).all():  # no resamples
            return np.full(len(points), noise)
        # the percentile interval need not hold the value itself: widths stay positive
        return np.hypot(np.maximum(0.0, bootstrap), noise)

    log_value = np.log(prediction.value)
    return HeldOut(
        points=points,
        predicted=prediction.value,
        low=np.exp(log_value - side(log_value - np.log(prediction.low))),
        high=np.exp(log_value + side(np.log(prediction.high) - log_value)),
        level=level,
    )
