"""Status, recipe and answers of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import Resampling
from analysis.fitting.prediction.extrapolation import PARTS, Spread
from analysis.fitting.prediction.reach import far
from analysis.fitting.solvers.objective import Objective
from analysis.fitting.tabular import Tabular
from analysis.tables.points import Array
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

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
class Prediction(Tabular):
    """A predicted value and the interval of a new run; its ends are nan where there is none.

    `spread` holds the parts of the interval: constants, run noise and law. It is None where the
    interval is that of the constants alone. `constants` are the ends of the percentile interval of
    the resamples, about the law itself; `value` has the drift of the rolled errors removed.
    `beyond` is the factor by which the compute and each variable lie outside the fitted rows.
    """

    value: Array
    low: Array
    high: Array
    beyond: Mapping[str, Array] = field(default_factory=dict)
    spread: Spread | None = None
    constants: tuple[Array, Array] | None = None
    without: str = ""  # the reason, where there is no interval

    @classmethod
    def of_new_run(
        cls,
        fitted: Array,
        parts: Spread,
        beyond: Mapping[str, Array],
        constants: tuple[Array, Array],
    ) -> Prediction:
        """About the `fitted` loss, once the drift of the parts is removed."""
        value, half = fitted * np.exp(parts.drift), parts.half_width()
        # where the roll erred by orders of magnitude [0, inf], about no finite loss [nan, inf]
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = value * np.exp(-half), value * np.exp(half)
        return cls(value, low, high, beyond, parts, constants)

    @property
    def contains(self) -> str:
        """Contents and evidence of the interval in words, or the reason why there is none."""
        return self.without or (PARTS[0] if self.spread is None else str(self.spread.of))

    def interval(self, *parts: str) -> tuple[Array, Array]:
        """Ends of the interval of the named parts alone, such as "constants" and "run noise"."""
        if self.spread is None:
            raise UserError(f"no parts of an interval: {self.contains}")
        half = self.spread.half_width(*parts)
        return self.value * np.exp(-half), self.value * np.exp(half)

    @property
    def distance(self) -> str:
        """The largest of `beyond` in words; empty inside the fitted rows."""
        return far(self.beyond)

    def table(self) -> pd.DataFrame:
        """A row for each point."""
        import pandas as pd

        ends = {"value": self.value, "low": self.low, "high": self.high}
        return pd.DataFrame({name: np.ravel(each) for name, each in ends.items()})

    @property
    def in_words(self) -> str:
        return self.contains

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; null for an end that is not known."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {
            **{name: plain(each) for name, each in ends.items()},
            "beyond": {name: plain(each) for name, each in self.beyond.items()},
            "contains": self.contains,
            "interval": None if self.spread is None else self.spread.to_json(),
        }


@dataclass(frozen=True)
class Allocation(Tabular):
    """The compute-optimal split of a budget C = 6 params tokens; each entry is (value, low, high).
    params, tokens and their ratio have the intervals of the constants; the loss that of a new run,
    `prediction`. `beyond` is the factor of compute, params and tokens outside the fitted rows."""

    flops: Array
    params: tuple[Array, Array, Array]
    tokens: tuple[Array, Array, Array]
    tokens_per_param: tuple[Array, Array, Array]
    prediction: Prediction

    @property
    def loss(self) -> tuple[Array, Array, Array]:
        return self.prediction.value, self.prediction.low, self.prediction.high

    @property
    def beyond(self) -> Mapping[str, Array]:
        return self.prediction.beyond

    @property
    def distance(self) -> str:
        """The largest of `beyond` in words; empty inside the fitted rows."""
        return far(self.beyond)

    def table(self) -> pd.DataFrame:
        """A row for each quantity of each budget."""
        import pandas as pd

        parts = {
            name: getattr(self, name) for name in ("params", "tokens", "tokens_per_param", "loss")
        }
        ends = {name: np.array([np.ravel(end) for end in part]) for name, part in parts.items()}
        rows = {
            (float(flops), name): end[:, at]
            for at, flops in enumerate(np.ravel(self.flops))
            for name, end in ends.items()
        }
        index = pd.MultiIndex.from_tuples(rows, names=("flops", ""))
        return pd.DataFrame(list(rows.values()), index=index, columns=["value", "low", "high"])

    @property
    def in_words(self) -> str:
        return f"The best split of C = 6 N D. Interval of the loss: {self.prediction.contains}"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; null for an end that is not known."""
        parts = {
            "params": self.params,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens_per_param,
        }
        return {
            "flops": plain(self.flops),
            **{
                name: dict(zip(("value", "low", "high"), map(plain, part), strict=True))
                for name, part in parts.items()
            },
            "loss": self.prediction.to_json(),
            "beyond": {name: plain(each) for name, each in self.beyond.items()},
        }


def plain(value: ArrayLike) -> Any:
    """Numbers as JSON holds them: lists of floats, null for one that is not finite."""
    array = np.asarray(value, np.float64)
    if array.ndim:
        return [plain(each) for each in array]
    return float(array) if np.isfinite(array) else None
