"""Rank correlations of two columns, with intervals by Fisher's transformation.

atanh of the correlation is taken as normal. Its variance is 0.437 / (n - 4) for Kendall's tau
(Fieller and others 1957) and (1 + rho^2 / 2) / (n - 3) for Spearman's rho (Bonett and Wright 2000).
A correlation of 1 or -1 is first moved half a step of its values inwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.common.answers import Estimate

Z = 1.959964  # of 95 %
LEAST = 5  # rows of an interval


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's correlation of the ranks, ties at their mean; NaN where a column is constant."""
    return _cosine(*(ranks - ranks.mean() for ranks in map(_ranks, (a, b))))


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """tau_b: pairs in one order less those in opposite orders, over the pairs without ties.

    NaN where a column is constant.
    """
    x, y = (np.sign(np.subtract.outer(each, each)) for each in map(np.asarray, (a, b)))
    return _cosine(x, y)


def spearman_interval(a: ArrayLike, b: ArrayLike) -> Estimate:
    """rho with its interval of 95 %, which is NaN below five rows."""
    n = np.size(a)
    half_step = 6 / (n * (n**2 - 1))
    return _interval(spearman(a, b), n, half_step, lambda rho: (1 + rho**2 / 2) / (n - 3))


def kendall_interval(a: ArrayLike, b: ArrayLike) -> Estimate:
    """tau_b with its interval of 95 %, which is NaN below five rows."""
    n = np.size(a)
    return _interval(kendall(a, b), n, 2 / (n * (n - 1)), lambda _: 0.437 / (n - 4))


def _interval(
    value: float, n: int, half_step: float, variance: Callable[[float], float]
) -> Estimate:
    if n < LEAST or math.isnan(value):
        return Estimate(value, digits=2)
    inside = min(max(value, half_step - 1), 1 - half_step)
    middle, reach = math.atanh(inside), Z * math.sqrt(variance(inside))
    ends = math.tanh(middle - reach), math.tanh(middle + reach)
    return Estimate(value, min(value, ends[0]), max(value, ends[1]), digits=2)


def _ranks(values: ArrayLike) -> NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _cosine(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    size = math.sqrt(float((x**2).sum()) * float((y**2).sum()))
    return float((x * y).sum()) / size if size else math.nan
