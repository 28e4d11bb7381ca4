"""Profile-likelihood interval of one parameter: the values v that the rows do not reject.

    LR(v) = 2 (min f with the parameter held at v - min f)  <=  scale x chi2_1(level)

f is the summed objective, which is no likelihood, so LR is scaled to chi2_1:

    quasi       scale = mean psi^2 / mean psi', psi = clip(r, -delta, delta): right if residuals are
                alike and independent; noisy where few rows lie within delta
    calibrated  scale = mean over resamples w of LR_w(estimate): the estimate is the truth of a
                resample, and chi2_1 has mean 1; nothing is assumed of the residuals

The percentile bootstrap remains the default interval. This one needs fewer resamples, and its ends
follow the objective itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from analysis.fitting.bootstrap import check_level, clusters, resample_weights
from analysis.fitting.result import FitResult
from analysis.fitting.solvers.formula import Formula
from analysis.fitting.solvers.newton import Smooth, best_of
from analysis.fitting.types import LEVEL
from analysis.tables.points import Array
from scaling.common.errors import UserError, check_known

Calibration = Literal["quasi", "calibrated"]
RESAMPLES = 200
FIRST_STEP, DOUBLINGS = 1e-3, 20  # outwards from the estimate, in theta
HALVINGS = 14  # of the bracket of an end


@dataclass(frozen=True)
class Profile:
    """The interval at `level`. Where no value on a side is refused, that end is the bound of the
    parameter, or infinite."""

    name: str
    value: float
    low: float
    high: float
    scale: float
    level: float


@dataclass(frozen=True)
class _Held:
    """A problem with one number of theta held at a value."""

    whole: Smooth
    at: int
    value: float

    @property
    def box(self) -> tuple[Array, Array]:
        low, high = (end.copy() for end in self.whole.box)
        low[self.at] = high[self.at] = self.value
        return low, high

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        return self.whole.derivatives(weights, theta, delta)

    def directions(self, weights: Array, theta: Array) -> Array | None:
        return self.whole.directions(weights, theta)


def profile(
    result: FitResult,
    name: str,
    *,
    level: float = LEVEL,
    calibration: Calibration = "calibrated",
    seed: int = 0,
) -> Profile:
    """The interval of parameter `name`, for any law. Resamples are drawn as those of the fit: by
    its clusters and its kind of weights."""
    law, goal = result.law, result.recipe.objective
    check_level(level)
    check_known(f"law '{law.name}' has no parameter", name, {**law.equal, **result.estimates})
    name = law.equal.get(name, name)
    check_known("calibration", calibration, SCALES)
    if name in (*result.unidentified, *result.bounded):
        raise UserError(f"no profile: {name} is at a bound or not identified by these rows")
    problem = Formula(law, result.points.variables, result.points.loss, goal.log)
    best = problem.to_theta(np.array([result.estimates[each] for each in law.parameters]))
    if not np.isfinite(best).all():
        raise UserError(f"no profile: {', '.join(result.bounded)} vanished; drop the term first")
    at = law.parameters.index(name)
    scale = SCALES[calibration](result, problem, best, at, seed)
    refused = result.objective * goal.unit + scale * NormalDist().inv_cdf((1 + level) / 2) ** 2 / 2
    ends = np.repeat(best[None], 2, axis=0)
    ends[:, at] = [_end(result, problem, best, at, refused, bound[at]) for bound in problem.box]
    low, high = problem.to_values(ends)[:, at].tolist()
    return Profile(name, result.estimates[name], low, high, scale, level)


def _end(
    result: FitResult, problem: Formula, best: Array, at: int, refused: float, bound: float
) -> float:
    """The crossing of the profiled objective with `refused`, between the estimate and the bound."""
    weights, delta = result.points.weights[None], result.recipe.objective.delta
    inside, near = best[at], best
    outside = best[at] + np.copysign(FIRST_STEP, bound - best[at])
    for _ in range(DOUBLINGS):
        outside = min(outside, bound) if bound > best[at] else max(outside, bound)
        found = best_of(_Held(problem, at, outside), weights, near[None, None], delta)
        if found.value[0] > refused:
            break
        if outside == bound:
            return float(bound)
        inside, near = outside, found.theta[0]
        outside = best[at] + 2 * (outside - best[at])
    else:
        return float(np.copysign(np.inf, bound))
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        found = best_of(_Held(problem, at, middle), weights, near[None, None], delta)
        if found.value[0] > refused:
            outside = middle
        else:
            inside, near = middle, found.theta[0]
    return float((inside + outside) / 2)


def _quasi(result: FitResult, problem: Formula, best: Array, at: int, seed: int) -> float:
    points, goal = result.points, result.recipe.objective
    fitted = result.law.predict(result.estimates, **points.variables)
    residuals = np.log(fitted / points.loss) if goal.log else fitted - points.loss
    psi = np.clip(residuals, -goal.delta, goal.delta)
    # the fit uses up a degree of freedom per parameter
    freedom = len(points) - best.size
    within = max(int(np.count_nonzero(psi == residuals)), 1)
    return float(np.sum(psi**2) / freedom / (within / len(points)))


def _calibrated(result: FitResult, problem: Formula, best: Array, at: int, seed: int) -> float:
    recipe, points = result.recipe, result.points
    together = clusters(points.rows, recipe.cluster)
    weights = points.weights * resample_weights(
        recipe.resampling, together, RESAMPLES, seed, best.size
    )
    free = result.engine(weights, 1, problem.to_values(best)).objective * recipe.objective.unit
    starts = np.repeat(best[None, None], RESAMPLES, axis=0)
    held = best_of(_Held(problem, at, best[at]), weights, starts, recipe.objective.delta)
    return float(2 * np.mean(held.value - free))


SCALES: dict[str, Callable[[FitResult, Formula, Array, int, int], float]] = {
    "quasi": _quasi,
    "calibrated": _calibrated,
}
