"""Status, recipe and answers of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import Resampling
from analysis.fitting.reach import far
from analysis.fitting.solvers.objective import Objective
from analysis.tables.points import Array

LEVEL = 0.95  # of every interval, unless another is given


class FitStatus(StrEnum):
    """Worth of the numbers of a fit."""

    CONVERGED = "converged"  # a certified minimum inside all bounds, and residuals like noise
    AT_BOUND = "at bound"  # a term vanished or an exponent hit its limit
    MISFIT = "misfit"  # residuals are not noise: the law has another shape than the rows
    REFUSED = "refused"  # no certified minimum: the best point found; it predicts nothing
    NOT_IDENTIFIED = "not identified"  # the rows cannot tell some parameters apart


@dataclass(frozen=True)
class FitRecipe:
    """Settings of a fit: together with the rows they reproduce it."""

    loss: str
    columns: Mapping[str, str]
    where: tuple[str, ...]  # conditions that chose the rows
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
    """A predicted loss and its bootstrap interval, nan without resamples.

    The interval is the uncertainty of the fitted constants under this law. It includes neither the
    noise of a new run nor the error of the law itself. `beyond` is the factor by which each
    variable lies outside the fitted rows, 1 inside them.
    """

    value: Array
    low: Array
    high: Array
    beyond: Mapping[str, Array] = field(default_factory=dict)

    @property
    def distance(self) -> str:
        """The largest of `beyond` in words; empty inside the fitted rows."""
        return far(self.beyond)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; null for an end that is not known."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {
            **{name: plain(each) for name, each in ends.items()},
            "beyond": {name: plain(each) for name, each in self.beyond.items()},
        }


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal split of a budget C = 6 params tokens; each entry is (value, low, high).
    `beyond` is the factor of compute, params and tokens outside the fitted rows."""

    flops: Array
    params: tuple[Array, Array, Array]
    tokens: tuple[Array, Array, Array]
    tokens_per_param: tuple[Array, Array, Array]
    loss: tuple[Array, Array, Array]
    beyond: Mapping[str, Array]

    @property
    def distance(self) -> str:
        """The largest of `beyond` in words; empty inside the fitted rows."""
        return far(self.beyond)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; null for an end that is not known."""
        parts = {
            "params": self.params,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens_per_param,
            "loss": self.loss,
        }
        return {
            "flops": plain(self.flops),
            **{
                name: dict(zip(("value", "low", "high"), map(plain, part), strict=True))
                for name, part in parts.items()
            },
            "beyond": {name: plain(each) for name, each in self.beyond.items()},
        }


def plain(value: ArrayLike) -> Any:
    """Numbers as JSON holds them: lists of floats, null for one that is not finite."""
    array = np.asarray(value, np.float64)
    if array.ndim:
        return [plain(each) for each in array]
    return float(array) if np.isfinite(array) else None
