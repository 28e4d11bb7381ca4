"""Comparison of laws fitted to the same rows.

`compare` ranks them by three kinds of evidence:

    held_out   rms of ln(measured / predicted) over the rows held out of the fits
    rolled     the same above a budget, fitted below it: root mean square over the budgets. Each
               budget counts once, for its errors share a fit
    aicc       -2 ln L + 2 k + 2 k (k + 1) / (n - k - 1), k = parameters + 1 for the scale

The likelihood L is the one whose maximum is the fit itself, for every objective: residuals are
independent with density

    p(r) = exp(-H_delta(r) / tau) / Z,   Z = sqrt(2 pi tau) erf(delta / sqrt(2 tau))
                                             + 2 (tau / delta) exp(-delta^2 / (2 tau)),

Gaussian as delta grows, Laplace as it shrinks, Huber's own density between. The constants that
minimise sum H maximise L at any tau, and tau is then profiled out. Weights divide tau row by row.
Limits: AICc ignores correlated rows, so several checkpoints of one run make it overconfident. Its
last term is exact for linear Gaussian models alone. A parameter at a bound counts in full. It
judges the law over the rows fitted, not beyond them: for extrapolation, use `rolled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import FitStatus
from analysis.tables.points import Points
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

    _same_question(results)
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
    likelihood, where parameters are not identified, or for n <= parameters + 2 rows."""
    count, numbers = len(result.points), len(result.law.parameters) + 1
    if result.status not in SOLID or count <= numbers + 1:
        return np.nan
    correction = 2 * numbers * (numbers + 1) / (count - numbers - 1)
    return -2 * log_likelihood(result) + 2 * numbers + correction


def log_likelihood(result: FitResult) -> float:
    """ln L at the fit, the scale profiled out.

    Integration by parts gives E[r H'(r)] = tau / w, and H <= r H' <= 2 H for every Huber loss:
    so the best tau lies between one and two times the mean of w H. The likelihood has one maximum
    in ln tau, for 1 / tau is the natural parameter of an exponential family.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import erf

    delta = result.recipe.objective.delta
    total = result.objective * result.recipe.objective.unit
    mean = total / len(result.points)
    if not mean > 0:
        raise UserError(f"{title(result)} passes through every row: its likelihood has no bound")

    def surprise(log_tau: float) -> float:
        tau = np.exp(log_tau) / result.points.weights
        inside = np.sqrt(2 * np.pi * tau) * erf(delta / np.sqrt(2 * tau))
        outside = 2 * tau / delta * np.exp(-(delta**2) / (2 * tau))
        return float(np.log(inside + outside).sum() + total / np.exp(log_tau))

    ends = (np.log(mean), np.log(2 * mean))
    best = minimize_scalar(surprise, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return -float(best.fun)


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
