"""Evidence below a cut: the fit, its resamples and its rolled origins, as the package makes them.

Methods take this and give an interval at the m rows above. Everything is in log loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.bootstrap import bounded_log
from analysis.fitting.fit import fit
from analysis.fitting.prediction.reach import distance, factors, size_of
from analysis.fitting.prediction.roll import residual_sd
from analysis.fitting.result import FitResult
from benchmarks.extrapolation.cut import Cut
from scaling.common.errors import UserError

Array = NDArray[np.float64]
RESAMPLES = 100


@dataclass(frozen=True)
class Interval:
    """Value and ends (m,); the ends are nan where the evidence allows none."""

    value: Array
    low: Array
    high: Array


def around(value: Array, half: Array | float) -> Interval:
    return Interval(value, value - half, value + half)


def none(value: Array) -> Interval:
    return around(value, np.full_like(value, np.nan))


@dataclass(frozen=True)
class Evidence:
    """A fit of the rows below a cut."""

    cut: Cut
    result: FitResult

    @cached_property
    def above(self) -> dict[str, Array]:
        """The variables of the rows above, (m,) each."""
        return self.cut.variables

    @cached_property
    def value(self) -> Array:
        """The prediction of the law, (m,)."""
        return np.log(self.result.law.predict(self.result.estimates, **self.above))

    @cached_property
    def sampled(self) -> Array:
        """Those of the resamples, (R, m)."""
        return bounded_log(self.result.sampled(**self.above))

    @cached_property
    def distance(self) -> Array:
        """h, in e-folds beyond the fitted rows, (m,)."""
        return distance(factors(self.above, self.result.points.variables))

    @property
    def freedom(self) -> int:
        return len(self.result.points) - len(self.result.estimates)

    @cached_property
    def noise(self) -> float:
        """The residual sd s."""
        result = self.result
        return residual_sd(result.residuals, result.points.weights, len(result.estimates))

    @cached_property
    def compute(self) -> Array:
        """Of the rows below, (n,)."""
        return size_of(self.result.points.variables)

    @cached_property
    def compute_above(self) -> Array:
        return size_of(self.above)


def gather(cut: Cut) -> Evidence:
    """Fit the rows below; runs are resampled as a whole.

    Raises:
        UserError: they cannot be fitted, or do not determine the rows above.
    """
    rows = cut.below
    apart = rows["run"].nunique()
    result = fit(
        cut.family.law,
        rows,
        columns=cut.family.columns,
        bootstrap=RESAMPLES,
        resampling="dirichlet",
        cluster="run" if 1 < apart < len(rows) else None,
    )
    result.check(cut.variables)
    if not result.has_intervals:
        raise UserError(f"no resamples: {'; '.join(result.warnings)}")
    return Evidence(cut, result)
