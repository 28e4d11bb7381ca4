"""Compute gain of one law over another, and the budget at which their losses cross.

`gain` and `crossing` compare the least losses L_A(C) and L_B(C) of two laws at a budget C. Each law
has its own allocation (C = 6 N D), or both are laws of the same one variable:

    gain = C_B / C_A  with  L_B(C_B) = L_A(C_A) = the target,      crossing: L_A(C) = L_B(C)

The gain is the factor of compute that B needs to reach the loss of A. Both assume that L falls with
C. Intervals are of the constants of both laws: they pair the bootstrap resamples of the two fits.
Fits of the same rows must share their seed: then both laws see the same resamples, and common
errors cancel. Fits of different rows are paired at random, as independent, even where they share
some rows. `fit_low` and `fit_high` of a gain also hold lack of fit: the run noise and the law's own
error of each law at its budget (`prediction.extrapolation`), over the slope -d ln L / d ln C there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.bootstrap import check_level
from analysis.fitting.prediction.reach import beyond, numbers_of, one_number
from analysis.fitting.result import FitResult, check_fit
from analysis.fitting.tabular import Tabular
from analysis.fitting.types import LEVEL
from analysis.inference.compare import same_rows, title
from analysis.tables.points import Array
from scaling.common.answers import Ranged
from scaling.common.errors import UserError, stated

if TYPE_CHECKING:
    import pandas as pd

SEARCH = (1e-60, 1e90)  # budgets searched for a loss; below them it is had for nothing
SIZE = "{} / 6 tokens"  # a column of sizes by which 6 N D is what a run spent of a column
FLOPS = "flops_6nd"
GRID = 257  # budgets tried for a crossing
HALVINGS = 64  # of a range of logs: to the last bit
STEP = 1e-3  # of ln C, for slopes


@dataclass(frozen=True)
class Gain(Tabular):
    """B needs `value` times the budget of A to reach `loss`, which A reaches at `budget`.

    The gain is inf where B never reaches it, and 0 in resamples where A does not. The interval is
    nan without a bootstrap. `unreached` is the share of resamples in which B never reaches it. The
    interval leaves out the share `undefined`, in which neither law reaches it. `beyond` is the
    factor by which the budget of each law lies outside its fitted rows. `fit_low` and `fit_high`
    join the lack of fit of both laws to the interval; `with_lack_of_fit` gives them. `spent` is the
    column of the budgets.
    """

    value: float
    low: float
    high: float
    loss: float
    budget: float
    unreached: float
    undefined: float
    beyond: Mapping[str, Array]
    spent: str = FLOPS
    fit_low: float = float("nan")
    fit_high: float = float("nan")

    def table(self) -> pd.DataFrame:
        """One row: the gain with its interval, at the budget of A and its loss."""
        return _row(self, "value low high fit_low fit_high budget loss unreached undefined")

    @property
    def in_words(self) -> str:
        said = "compute" if self.spent == FLOPS else self.spent
        return f"B needs {self.value:.3g} times the {said} of A to reach a loss of {self.loss:.4g}"

    @property
    def undetermined(self) -> str:
        """The reason why the rows do not say this gain; empty where they do."""
        if math.isnan(self.value):
            return f"A has no loss at a budget of {self.budget:.4g}"
        if self.value == 0 or math.isinf(self.value):
            when = "at any budget" if self.value == 0 else "at no budget"
            return f"B reaches the loss of A, {self.loss:.4g}, {when}"
        if self.low == 0 and math.isinf(self.high):
            return (
                f"the rows do not determine it: B reaches the loss of A, {self.loss:.4g}, at no "
                f"budget in {self.unreached:.0%} of resamples, and at any in others"
            )
        return ""


@dataclass(frozen=True)
class Crossing(Tabular):
    """From the low end of the range up to `budget` law `better` has the lower loss, and not beyond.
    It is the first or the second.

    `budget` is inf where it stays better up to the high end. In resamples it is 0 where the law is
    not better even at the low end. `without` is the share of resamples that do not cross inside the
    range. The interval is nan without a bootstrap. `times` counts the crossings in the range; the
    first is the one reported. `spent` is the column of the budgets.
    """

    budget: float
    low: float
    high: float
    better: Literal["a", "b"]
    without: float
    times: int
    spent: str = FLOPS

    def table(self) -> pd.DataFrame:
        """One row: the budget with its interval, and the law that is better below it."""
        return _row(self, "budget low high better without times")

    @property
    def in_words(self) -> str:
        end = f"{self.budget:.3g} {unit(self.spent)}"
        return f"{self.better.upper()} has the lower loss up to a budget of {end}"


def unit(spent: str) -> str:
    """The name of a budget in this column: FLOPs, or the column's own."""
    return "FLOPs" if spent.startswith("flops") else spent


def _row(found: Gain | Crossing, names: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([{name: getattr(found, name) for name in names.split()}])


def gain(
    a: FitResult,
    b: FitResult,
    *,
    loss: float | None = None,
    budget: float | None = None,
    params: float | None = None,
    level: float = LEVEL,
) -> Gain:
    """The compute-equivalent gain of law A over law B, at a loss or at a budget of A.

    Args:
        params: of models of this size alone; their budget is tokens, and so is the gain.
    """
    if (loss is None) == (budget is None):
        raise UserError("gain: give one target, either loss=... or budget=...")
    wanted = one_number("loss", loss) if budget is None else one_number("budget", budget)
    params = None if params is None else one_number("params", params)
    ours, theirs = (replace(each, params=params) for each in _frontiers(a, b))
    target = np.full(ours.members, np.log(wanted))
    if budget is not None:
        spent, reached = target, ours.log_loss(target)
    else:
        spent, reached = ours.spending(target), target
    if not np.isfinite(spent[0]):
        when = "never reaches" if spent[0] > 0 else "has no more than"
        raise UserError(f"{title(a)} {when} a loss of {wanted:g}, so it has no gain there")
    needed = theirs.spending(reached)
    for result, at in ((a, spent[0]), (b, spent[0]), (b, needed[0])):
        if np.isfinite(at):
            _check_reach(result, float(np.exp(at)), params)
    with np.errstate(invalid="ignore"):
        logs = needed - spent  # inf - inf, neither reaches it: nan
    drawn = logs[1:]
    known = drawn[~np.isnan(drawn)]
    low, high = _interval(known, level)
    return Gain(
        value=float(np.exp(logs[0])),
        low=low,
        high=high,
        loss=float(np.exp(reached[0])),
        budget=float(np.exp(spent[0])),
        unreached=_share(np.isposinf(needed[1:])),
        undefined=_share(np.isnan(drawn)),
        beyond={
            f"budget of {name}": beyond(
                np.exp(log), fit.budgets if params is None else fit.points.variables["tokens"]
            )
            for name, fit, log in (("A", a, spent[0]), ("B", b, needed[0]))
            if np.isfinite(log)
        },
        spent=budget_column(a) if params is None else "tokens",
    )


def with_lack_of_fit(found: Gain, a: FitResult, b: FitResult, level: float = LEVEL) -> Gain:
    """The gain of A over B, with the run noise and the law's own error of both fits joined. Rolls
    both fits."""
    log_gain, log_budget = np.log(found.value), np.log(found.budget)
    misfit = math.hypot(
        _lack_of_fit(_frontier(a, a.samples), float(log_budget), level),
        _lack_of_fit(_frontier(b, b.samples), float(log_budget + log_gain), level),
    )
    return replace(
        found,
        fit_low=_joined(log_gain, found.low, -misfit),
        fit_high=_joined(log_gain, found.high, misfit),
    )


def crossing(
    a: FitResult, b: FitResult, *, between: tuple[float, float], level: float = LEVEL
) -> Crossing:
    """The first budget of a range at which the better law changes."""
    ends = numbers_of("between", between)
    if ends.shape != (2,) or not 0 < ends[0] < ends[1] < np.inf:
        raise UserError(f"crossing: {stated('between', between)}: give two, the lower one first")
    (low_end, high_end), (ours, theirs) = map(float, ends), _frontiers(a, b)
    for result in (a, b):
        _check_reach(result, low_end)
        _check_reach(result, high_end)

    def lead(log_budget: Array) -> Array:
        return theirs.log_loss(log_budget) - ours.log_loss(log_budget)

    grid = np.linspace(np.log(low_end), np.log(high_end), GRID)
    better_a = np.stack([lead(np.full(ours.members, at)) for at in grid], axis=1) > 0
    favourite = better_a[0, 0]
    ahead = better_a == favourite
    lost = ~ahead
    first = lost.argmax(axis=1)  # 0 where it is never lost, or lost from the start
    at = _halve(
        lambda middle: (lead(middle) > 0) == favourite,
        grid[np.maximum(first - 1, 0)],
        grid[first],
    )
    at = np.where(lost.any(axis=1), at, np.inf)
    at = np.where(lost[:, 0], -np.inf, at)
    low, high = _interval(at[1:], level)
    return Crossing(
        budget=float(np.exp(at[0])),
        low=low,
        high=high,
        better="a" if favourite else "b",
        without=_share(np.isinf(at[1:])),
        times=int(np.count_nonzero(np.diff(ahead[0]))),
        spent=budget_column(a),
    )


def spending(result: FitResult, loss: float, level: float = LEVEL) -> Ranged:
    """The least budget that reaches a loss, and its interval by the constants; inf where none
    does."""
    check_fit(result)
    frontier = _frontier(result, result.samples)
    logs = frontier.spending(np.full(frontier.members, np.log(loss)))
    low, high = _interval(logs[1:], level)
    return float(np.exp(logs[0])), low, high


@dataclass(frozen=True)
class _Frontier:
    """The least loss of a law at each budget, for the fit (first) and each of its resamples.

    Of one size `params` the budget is its tokens.
    """

    result: FitResult
    values: Array  # (1 + R, P)
    params: float | None = None

    @property
    def members(self) -> int:
        return len(self.values)

    def log_loss(self, log_budget: Array) -> Array:
        """ln L at one budget per member, (1 + R,)."""
        law = self.result.law
        params = dict(zip(law.parameters, self.values.T, strict=True))
        budget = np.exp(log_budget)
        with np.errstate(all="ignore"):
            if self.params is not None:
                return np.log(law.predict(params, params=self.params, tokens=budget))
            if len(law.variables) == 1:
                return np.log(law.predict(params, **{law.variables[0]: budget}))
            split = [
                np.exp(np.clip(np.log(each), -700, 700))  # a dead term sends one of them to 0
                for each in law.optimal(params, budget)
            ]
            return np.log(law.predict(params, params=split[0], tokens=split[1]))

    def spending(self, log_loss: Array) -> Array:
        """ln C at which each member reaches its loss; inf where at none, -inf where at any."""
        low, high = (np.full(self.members, np.log(end)) for end in SEARCH)
        found = _halve(lambda middle: ~(self.log_loss(middle) <= log_loss), low, high)
        found = np.where(self.log_loss(low) <= log_loss, -np.inf, found)
        return np.where(self.log_loss(high) <= log_loss, found, np.inf)


def _lack_of_fit(frontier: _Frontier, log_budget: float, level: float) -> float:
    """Half-width in ln C of the run noise and the law's error at a budget; nan without resamples,
    or where the budget is not finite."""
    result = frontier.result
    if not (np.isfinite(log_budget) and result.has_intervals):
        return float("nan")
    budget, law = float(np.exp(log_budget)), result.law
    if len(law.variables) == 1:
        said = result.predict_at({law.variables[0]: budget}, level)
    else:
        _, params, tokens = result.split(budget)
        said = result.predict(level, params=params, tokens=tokens)
    assert said.spread is not None
    half = float(said.spread.half_width("run noise", "law"))
    ends = (np.full(frontier.members, log_budget + step) for step in (-STEP, STEP))
    below, above = (frontier.log_loss(end)[0] for end in ends)
    return half * 2 * STEP / float(below - above)


def _joined(log_value: float, end: float, misfit: float) -> float:
    """An end of the interval, its distance joined in squares with a signed one."""
    with np.errstate(divide="ignore"):
        away = np.hypot(np.log(end) - log_value, misfit)
    return float(np.exp(log_value + np.copysign(away, misfit)))


def _frontiers(a: FitResult, b: FitResult) -> tuple[_Frontier, _Frontier]:
    """Both, with their resamples in the order in which they are paired."""
    check_fit(a, b)
    if a.recipe.loss != b.recipe.loss:
        raise UserError(
            f"{title(a)} is of column '{a.recipe.loss}' and {title(b)} of '{b.recipe.loss}': "
            "compare fits of the same loss"
        )
    if (of_a := budget_column(a)) != (of_b := budget_column(b)):
        raise UserError(
            f"{title(a)} is of '{of_a}' and {title(b)} of '{of_b}': the two must be laws "
            "of one quantity (rename the column where it is the same)"
        )
    if len(a.samples) != len(b.samples):
        raise UserError(
            f"{len(a.samples)} resamples of {title(a)} and {len(b.samples)} of {title(b)}: "
            "fit both with the same bootstrap="
        )
    theirs = b.samples
    if not same_rows(a.points, b.points):
        # one place on: the same seed may have drawn the same weights for both tables
        theirs = np.roll(theirs, 1, axis=0)
    elif _resampling(a) != _resampling(b) and a.has_intervals:
        raise UserError(
            f"{title(a)} and {title(b)} are fitted to the same rows with different resamples: "
            "fit both with the same seed=, resampling= and cluster="
        )
    return _frontier(a, a.samples), _frontier(b, theirs)


def _frontier(result: FitResult, samples: Array) -> _Frontier:
    best = np.array([[result.estimates[name] for name in result.law.parameters]])
    return _Frontier(result, np.concatenate([best, samples]))


def budget_column(result: FitResult) -> str:
    """The column of what a run of this fit spends: that of its only variable, or of 6 N D."""
    columns, variables = result.recipe.columns, result.law.variables
    if len(variables) == 1:
        return columns[variables[0]]
    size, _, _ = columns.get("params", "").partition(SIZE.format(""))
    return size if columns.get("params") == SIZE.format(size) else FLOPS


def _check_reach(result: FitResult, budget: float, params: float | None = None) -> None:
    """UserError where the rows do not determine the law at this budget."""
    if params is not None:
        result.check({"params": params, "tokens": budget})
    elif len(result.law.variables) == 1:
        result.check({result.law.variables[0]: budget})
    else:
        result.split(budget)


def _resampling(result: FitResult) -> tuple[object, ...]:
    return result.recipe.seed, result.recipe.resampling, result.recipe.cluster


def _halve(below: Callable[[Array], NDArray[np.bool_]], low: Array, high: Array) -> Array:
    """The point at which `below` turns false, by bisection, one range per member."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        still = below(middle)
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    return (low + high) / 2


def _interval(logs: Array, level: float) -> tuple[float, float]:
    """Percentiles of exp(logs), at drawn values: one of them may be 0 or inf."""
    check_level(level)
    if not logs.size:
        return np.nan, np.nan
    low = np.quantile(logs, (1 - level) / 2, method="lower")
    high = np.quantile(logs, (1 + level) / 2, method="higher")
    return float(np.exp(low)), float(np.exp(high))


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean()) if which.size else np.nan
