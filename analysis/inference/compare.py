"""Comparison of laws fitted to the same rows.

`compare` ranks them by three kinds of evidence:

    held_out   rms of ln(measured / predicted) over the rows held out of the fits
    rolled     the same above a budget, fitted below it: root mean square over the budgets. Each
               budget counts once, for its errors share a fit
    aicc       -2 ln L + 2 k + 2 k (k + 1) / (n - k - 1), k = `Law.counted` + 1 for the scale

The likelihood L is the one whose maximum is the fit itself, for every objective
(`Objective.log_likelihood`): Gaussian as delta grows, Laplace as it shrinks.
k counts a parameter once, and the place of a break by the noise that a search for it fits
(`scaling.laws.learning_curves`).
Limits: AICc ignores correlated rows, so several checkpoints of one run make it overconfident. Its
last term is exact for linear Gaussian models alone. A parameter at a bound counts in full. It
judges the law over the rows fitted, not beyond them: for extrapolation, use `rolled`. Of normal
noise far above delta, a constant takes up to pi / 2 of the gain by chance that AICc expects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import bounded_log, percentile_interval, spread
from analysis.fitting.fit import fit
from analysis.fitting.prediction.extrapolation import Extrapolation, posterior
from analysis.fitting.prediction.reach import distance, factors, numbers_of, size_of, trend
from analysis.fitting.prediction.roll import Origin, groups
from analysis.fitting.result import FitResult, check_fit
from analysis.fitting.types import LEVEL, FitStatus, Prediction
from analysis.tables.points import Array, Points
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# fits whose likelihood is at its maximum
SOLID = (FitStatus.CONVERGED, FitStatus.MISFIT, FitStatus.AT_BOUND)


def compare(
    results: Sequence[FitResult], *, over: str | None = None, below: Sequence[float] = ()
) -> pd.DataFrame:
    """The laws of `results`, best first: one row each.

    Columns: law, parameters, status, aicc, aicc_above_best, held_out, inside, interval_score,
    rolled, rank. held_out and rolled are rms log errors. `inside` is the share of held-out rows in
    their intervals, whose mean score is `interval_score` (`HeldOut`). Each is nan where absent. The
    rank is by held_out where rows were held out. Else it is by rolled where `over` names a column
    and `below` the budgets, or else by aicc; nan is last.

    Raises:
        UserError: the fits differ in their rows, weights or objective, or a budget leaves a law
            without an answer.
    """
    import pandas as pd

    results = list(results) if isinstance(results, Iterable) else [results]
    check_fit(*results)
    _same_question(results)
    below = numbers_of("below", below).ravel().tolist() if np.size(below) else []
    if (over is None) != (len(below) == 0):
        raise UserError("over and below go together: a column, and the budgets to fit below")
    table = pd.DataFrame(
        {
            "law": [title(result) for result in results],
            "parameters": [len(result.law.parameters) for result in results],
            "status": [str(result.status) for result in results],
            "aicc": [aicc(result) for result in results],
            "held_out": [held_out_error(result) for result in results],
            "inside": [_of_held_out(result, "coverage") for result in results],
            "interval_score": [_of_held_out(result, "interval_score") for result in results],
            "rolled": [
                np.nan if over is None else rolled_error(result, over, below) for result in results
            ],
        }
    )
    table.insert(4, "aicc_above_best", table["aicc"] - table["aicc"].min())
    evidence = "held_out" if results[0].held_out else "rolled" if over else "aicc"
    table["rank"] = table[evidence].rank(method="min", na_option="bottom").astype(int)
    return table.sort_values("rank", kind="stable", ignore_index=True)


@dataclass(frozen=True, eq=False)
class Averaged:
    """Laws of the same variables on the same rows, as one prediction with one interval.

        w_k = exp(-AICc_k / 2) / sum_j exp(-AICc_j / 2)        Akaike weights
        ln L = sum_k w_k ln L_k
        b^2 = sum_k w_k (b_k^2 + (ln L_k - ln L)^2)            constants, and differences of laws
        s^2 = sum_k w_k s_k^2                                  run noise

    The law's error is that of the choice rolled forward: below each rung the law of least AICc
    among those that its rows can judge predicts the later ones, as it would have been chosen then.
    A rung below which the rows can judge none is left out: there was no choice.
    """

    results: tuple[FitResult, ...]
    weights: Array

    @cached_property
    def rolled(self) -> tuple[Origin, ...]:
        """At each rung the origin of the law that the rows below it choose."""
        group = groups(self.results[0].points)
        found: dict[int, tuple[float, Origin]] = {}
        for result in self.results:
            goal, constants = result.recipe.objective, result.law.counted
            for origin in result.rolled:
                rows = result.points.weights[group < origin.rung]
                judged = goal.aicc(origin.objective, rows, constants)
                best = found[origin.rung][0] if origin.rung in found else np.inf
                if judged < best:  # nan, of rows that cannot judge the law, never is
                    found[origin.rung] = judged, origin
        return tuple(found[rung][1] for rung in sorted(found))

    @cached_property
    def extrapolation(self) -> Extrapolation:
        """The drift and the scale of errors beyond the rows, as rolling the choice shows them."""
        points = self.results[0].points
        return posterior(self.rolled, trend(size_of(points.variables), points.loss))

    def predict(self, level: float = LEVEL, **variables: ArrayLike) -> Prediction:
        """The loss of a new run at any x. Raises UserError where the rows do not determine it."""
        return self.predict_at(variables, level)

    def predict_at(self, variables: Mapping[str, ArrayLike], level: float = LEVEL) -> Prediction:
        """`predict`, with the variables in a mapping."""
        for each in self.results:
            each.check(variables)
        away = factors(variables, self.results[0].points.variables)
        logs = np.stack(
            [np.log(each.law.predict(each.estimates, **variables)) for each in self.results]
        )
        drawn = [bounded_log(each.sampled(**variables)) for each in self.results]
        mean = self._mean(logs)
        squares = np.stack([spread(each) for each in drawn]) ** 2 + (logs - mean) ** 2
        parts = self.extrapolation.at(
            constants=np.sqrt(self._mean(squares)),
            noise=float(np.sqrt(self._mean([each.noise**2 for each in self.results]))),
            distance=distance(away),
            level=level,
            residual_freedom=round(float(self._mean([each.freedom for each in self.results]))),
        )
        ends = [percentile_interval(each, level) for each in drawn]
        low, high = (np.exp(self._mean([each[at] for each in ends])) for at in (0, 1))
        return Prediction.of_new_run(np.exp(mean), parts, away, (low, high))

    def __str__(self) -> str:
        """The laws and their weights."""
        parts = zip(self.results, self.weights, strict=True)
        return ", ".join(f"{title(each)} {weight:.2g}" for each, weight in parts)

    def _mean(self, values: ArrayLike) -> Array:
        return np.tensordot(self.weights, np.asarray(values, np.float64), 1)


def averaged(results: Sequence[FitResult]) -> Averaged:
    """The fits that can be judged, mixed by their Akaike weights; the heaviest first.

    Raises:
        UserError: the laws differ in their variables or rows, or none has both an AICc and
            resamples.
    """
    if len(results) > 1:
        _same_question(results)
    if len({each.law.variables for each in results}) > 1:
        names = " and ".join(title(each) for each in results)
        raise UserError(f"{names} differ in their variables: average laws of the same ones")
    judged = [(each, aicc(each)) for each in results if each.has_intervals]
    able = sorted(
        ((each, found) for each, found in judged if np.isfinite(found)), key=lambda pair: pair[1]
    )
    if not able:
        told = ", ".join(f"{title(each)} {each.law.counted}" for each in results)
        raise UserError(
            "no law to average: each needs bootstrap=1000, a certified minimum, and three rows "
            f"more than AICc counts constants ({told})"
        )
    above = np.array([found for _, found in able])
    share = np.exp((above.min() - above) / 2)
    return Averaged(tuple(each for each, _ in able), share / share.sum())


def title(result: FitResult) -> str:
    """The law and the assumed relations of its parameters: 'chinchilla, beta = alpha'."""
    return ", ".join((result.law.name, *result.law.relations))


def held_out_error(result: FitResult) -> float:
    """rms of ln(measured / predicted) over the held-out rows; nan where there are none."""
    held = result.held_out
    if held is None:
        return np.nan
    return float(np.sqrt(np.mean(np.log(held.measured / held.predicted) ** 2)))


def _of_held_out(result: FitResult, name: str) -> float:
    return np.nan if result.held_out is None else float(getattr(result.held_out, name))


def rolled_error(result: FitResult, over: str, below: Sequence[float]) -> float:
    """For each budget of `below`: fit the rows of the result with `over` < budget, predict those
    at or above it. The root mean square of the rms log errors."""
    recipe = result.recipe
    errors = []
    for budget in below:
        try:
            step = fit(
                result.law,
                result.points.rows,
                loss=recipe.loss,
                columns=recipe.columns,
                objective=recipe.objective.name,
                delta=recipe.objective.delta,
                weights=result.points.weights,
                holdout=f"{over}>={float(budget)}",
            )
            errors.append(held_out_error(step))
        except UserError as error:
            raise UserError(f"{title(result)} below {over} = {budget:g}: {error}") from error
    return float(np.sqrt(np.mean(np.square(errors))))


def aicc(result: FitResult) -> float:
    """Akaike's criterion with its small-sample term; nan where the fit is no maximum of the
    likelihood, where parameters are not identified, or for n <= `Law.counted` + 2 rows."""
    if result.status not in SOLID:
        return np.nan
    goal, weights = result.recipe.objective, result.points.weights
    found = goal.aicc(result.objective, weights, result.law.counted)
    if np.isneginf(found):
        log_likelihood(result)
    return found


def log_likelihood(result: FitResult) -> float:
    """ln L at the fit, the scale profiled out."""
    found = result.recipe.objective.log_likelihood(result.objective, result.points.weights)
    if np.isposinf(found):
        raise UserError(f"{title(result)} passes through every row: its likelihood has no bound")
    return found


def _same_question(results: Sequence[FitResult]) -> None:
    """Raise UserError where the fits cannot be ranked against each other."""
    if len(results) < 2:
        raise UserError("compare needs two fits or more")
    first = results[0]
    for other in results[1:]:
        pair = f"{title(first)} and {title(other)}"
        if not same_rows(first.points, other.points):
            raise UserError(f"{pair} are fitted to different rows: fit them to the same table")
        if not np.array_equal(first.points.weights, other.points.weights):
            raise UserError(f"{pair} weigh their rows differently")
        if first.recipe.objective != other.recipe.objective:
            raise UserError(
                f"{pair} minimise different things ({first.recipe.objective}; "
                f"{other.recipe.objective}): fit them with the same objective and delta"
            )
        if not same_rows(_kept_out(first), _kept_out(other)):
            raise UserError(f"{pair} hold out different rows")


def _kept_out(result: FitResult) -> Points | None:
    return None if result.held_out is None else result.held_out.points


def same_rows(one: Points | None, other: Points | None) -> bool:
    """True where two fits saw, or held out, the same measurements."""
    if one is None or other is None:
        return one is other
    return one.labels == other.labels and np.array_equal(one.loss, other.loss)
