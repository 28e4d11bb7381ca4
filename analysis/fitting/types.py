"""Status, recipe and answers of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from analysis.fitting.bootstrap import Resampling
from analysis.fitting.solvers.objective import Objective
from analysis.tables.points import Array

LEVEL = 0.95  # of every interval, unless another is given


class Status(StrEnum):
    """Worth of the numbers of a fit."""

    CONVERGED = "converged"
    AT_BOUND = "at bound"  # a term vanished or an exponent hit its limit
    NOT_IDENTIFIED = "not identified"  # the rows cannot tell some parameters apart
    REFUSED = "refused"  # no certified minimum: the best point found, without intervals


@dataclass(frozen=True)
class FitRecipe:
    """Settings of a fit: together with the rows they reproduce it."""

    loss: str
    columns: Mapping[str, str]
    objective: Objective
    bootstrap: int
    resampling: Resampling
    cluster: str | None
    seed: int
    drop_highest: int
    weights: str
    holdout: str | None


@dataclass(frozen=True)
class Prediction:
    """A predicted loss and its bootstrap interval.

    The interval is the uncertainty of the fitted constants under this law. It includes neither the
    noise of a new run nor the error of the law itself.
    """

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal split of a budget; each entry is (value, low, high)."""

    flops: Array
    params: tuple[Array, Array, Array]
    tokens: tuple[Array, Array, Array]
    tokens_per_param: tuple[Array, Array, Array]
    loss: tuple[Array, Array, Array]
