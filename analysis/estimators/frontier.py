"""Compute-optimal size and data as power laws of compute, N*(C) = G C^a and D*(C) = G C^b.

`isoflop` and `envelope` estimate the optima; the lines through them are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.prediction.reach import beyond
from analysis.fitting.types import LEVEL
from analysis.tables.columns import Array, named, numbers, row_labels
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from scaling.laws import Law

EXCESS = 0.95  # level of the F test of scatter about the line


@dataclass(frozen=True)
class PowerLaw:
    """G C^power, as `law` names it, and the same of every resample: ln G and the power, (R, 2)."""

    law: Law
    values: Mapping[str, float]
    samples: Array

    @property
    def exponent(self) -> float:
        return self.values[self.law.parameters[1]]

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Percentile interval of the exponent."""
        if not len(self.samples):
            raise UserError("no interval, for there were no resamples: give bootstrap=1000")
        low, high = percentile_interval(self.samples[:, 1], level)
        return float(low), float(high)

    def predict(self, flops: ArrayLike, level: float = LEVEL) -> tuple[Array, Array, Array]:
        """(value, low, high) at a budget; nan ends without resamples."""
        value = self.law.predict(self.values, flops=flops)
        if not len(self.samples):
            return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
        logs = np.log(np.asarray(flops, np.float64))
        intercept, slope = (column.reshape(-1, *[1] * logs.ndim) for column in self.samples.T)
        low, high = percentile_interval(intercept + slope * logs, level)
        return value, np.exp(low), np.exp(high)


@dataclass(frozen=True)
class Frontier:
    """The power laws, and in `optima` one row per budget: flops, the params, tokens and loss of
    the optimum, and whether it is `used`. `isoflop` adds `sizes` (their number), `window` (those
    that the curve saw, from `low` to `high`), params_error and tokens_error (standard deviations of
    the logarithms), the `bend` of the curve in ln loss, its `skew`, and `why` it is not used. The
    rows of each budget are `runs`, and `noise` is the standard deviation of their ln loss.
    """

    params: PowerLaw
    tokens: PowerLaw
    optima: pd.DataFrame
    warnings: tuple[str, ...]
    runs: tuple[pd.DataFrame, ...] = ()
    noise: float = float("nan")

    def beyond(self, flops: float) -> float:
        """The factor by which a budget lies outside those used; 1 inside."""
        used = self.optima.loc[self.optima["used"], "flops"].to_numpy(np.float64)
        return float(beyond(flops, used))


def read_columns(table: pd.DataFrame, columns: tuple[str, ...], bootstrap: int) -> dict[str, Array]:
    if bootstrap < 0:
        raise UserError(f"bootstrap={bootstrap}: the number of resamples cannot be negative")
    labels = row_labels(table)
    return {name: numbers(table, name, labels) for name in columns}


def row_groups(
    table: pd.DataFrame, flops: Array, column: str | None, tolerance: float
) -> list[NDArray[np.intp]]:
    """The rows of each value of a column, or of each cluster of FLOPs; little compute first."""
    order = np.argsort(flops, kind="stable")
    if column is None:
        steps = np.diff(np.log(flops[order])) > tolerance
        return np.split(order, np.flatnonzero(steps) + 1)
    values = named(table, column).to_numpy()[order]
    return [order[values == value] for value in dict.fromkeys(values)]


def line(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least squares of y (..., B) on x (B,): intercept and slope (..., 2); nan is left
    out."""
    held = np.isfinite(y)
    w, y = weights * held, np.where(held, y, 0.0)
    total = w.sum(axis=-1)
    middle = (w * x).sum(axis=-1) / total
    away = x - middle[..., None]
    slope = (w * away * y).sum(axis=-1) / (w * away**2).sum(axis=-1)
    return np.stack([(w * y).sum(axis=-1) / total - slope * middle, slope], axis=-1)


def excess(x: Array, y: Array, errors: Array, line_of: Array, freedom: float) -> float:
    """Scatter of y (B,) about a line, in units of its errors; 1 where an F test allows it.

    `freedom` is that of the errors.
    """
    from scipy.special import fdtri

    spare = len(x) - 2
    if spare < 1:
        return 1.0
    left = (y - line_of[0] - line_of[1] * x) / errors
    ratio = float(left @ left) / spare
    return ratio**0.5 if ratio > fdtri(spare, min(freedom, 1e6), EXCESS) else 1.0


def power_law(law: Law, lines: Array) -> PowerLaw:
    """From intercepts and slopes (1 + R, 2), the data first."""
    coefficient, power = law.parameters
    values = {coefficient: float(np.exp(lines[0, 0])), power: float(lines[0, 1])}
    return PowerLaw(law, values, lines[1:])
