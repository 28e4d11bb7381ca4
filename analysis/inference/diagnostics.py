"""Diagnostics of a fit: other minima, influential rows, and its weakest direction.

All start from a `FitResult` and reweight its rows; no data are read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.bootstrap import resample_weights
from analysis.fitting.fit import STARTS
from analysis.fitting.identifiability import sensitivities
from analysis.fitting.result import FitResult
from analysis.fitting.solvers.newton import newton
from analysis.tables.points import Array
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.solvers.formula import Formula

NEARBY, FAR = 192, 64  # starts of the search for other minima: ends of resamples, and of the grid
APART = 1e-3  # in theta: two ends closer than this are one minimum
DEAD = 1e-6  # share of the largest sensitivity, below which a term has vanished


@dataclass(frozen=True)
class Minimum:
    """A local minimum: its constants, and its objective as a multiple of the best one's."""

    params: dict[str, float]
    objective: float
    relative: float


@dataclass(frozen=True)
class Identifiability:
    """Separation of the parameters by the rows, to first order.

    `condition` is that of the matrix of sensitivities d ln L_i / d theta_j, with columns of unit
    length and rows weighted: 1 where parameters act apart, infinite where some can be exchanged.
    `weakest` is the direction of theta that moves the rows least, its largest part first.
    """

    condition: float
    weakest: dict[str, float]


def second_minimum(result: FitResult) -> Minimum | None:
    """The best local minimum other than the fit's own, or None where none was found.

    Newton starts from the grid of the law and from the fits of 192 reweightings of the same rows.
    An end counts if its Hessian is positive and no term of it is dead: a vanished term is a limit
    that Newton does not reach. Two equal minima far apart mean that the parameters can be
    exchanged.
    """
    from analysis.fitting.solvers.formula import WIDE, Formula

    law, points, goal = result.law, result.points, result.recipe.objective
    problem = Formula(law, points.variables, points.loss, goal.log)
    weights = points.weights[None]
    best = np.array([result.estimates[name] for name in law.parameters])
    drawn = resample_weights("dirichlet", np.arange(len(points)), NEARBY, 0, best.size)
    near = problem.to_theta(result.engine(drawn * points.weights, 1, best).values)
    starts = np.concatenate([problem.starts(weights[0], FAR, max(goal.delta, WIDE)), near])
    starts = starts[np.isfinite(starts).all(axis=1)]
    ends = newton(problem, np.repeat(weights, len(starts), axis=0), starts, goal.delta)
    theta = problem.to_theta(best)
    usable = ends.certified & np.isfinite(ends.value)
    for at in np.argsort(ends.value, kind="stable"):
        if usable[at] and np.abs(ends.theta[at] - theta).max() > APART:
            params = dict(
                zip(law.parameters, problem.to_values(ends.theta[at]).tolist(), strict=True)
            )
            if _is_minimum(result, problem, ends.theta[at], params):
                value = float(ends.value[at]) / goal.unit
                return Minimum(params, value, value / result.objective)
    return None


def _is_minimum(
    result: FitResult, problem: Formula, theta: Array, params: Mapping[str, float]
) -> bool:
    size = np.linalg.norm(sensitivities(result.law, result.points, params), axis=0)
    if size.min() < DEAD * size.max():
        return False
    delta = result.recipe.objective.delta
    _, _, hessian = problem.derivatives(result.points.weights[None], theta[None], delta)
    low, high = problem.box
    free = (theta > low) & (theta < high)
    curve = np.linalg.eigvalsh(hessian[0][np.ix_(free, free)])
    return bool(curve.min() > 0)


def drop_k_path(result: FitResult, k_max: int, flops: float | None = None) -> pd.DataFrame:
    """The fit without its k highest losses, k = 0 .. k_max: a row of dropped, objective, every
    parameter and, where `flops` is given, tokens_per_param at that budget.

    Rows that the fit left out already are not counted. A path that keeps moving means that the
    constants depend on the choice of rows: on the Chinchilla points beta falls from 0.453 to 0.367
    with five rows of 245.
    """
    import pandas as pd

    law, points = result.law, result.points
    if not 0 <= k_max <= len(points) - len(law.parameters) - 1:
        raise UserError(
            f"k_max={k_max}: {len(points)} rows and {len(law.parameters)} parameters allow 0 to "
            f"{len(points) - len(law.parameters) - 1}"
        )
    highest = np.argsort(-points.loss, kind="stable")
    weights = np.repeat(points.weights[None], k_max + 1, axis=0)
    for k in range(1, k_max + 1):
        weights[k:, highest[k - 1]] = 0.0
    ends = result.engine(weights, STARTS, None)
    table = pd.DataFrame({"dropped": np.arange(k_max + 1), "objective": ends.objective})
    params = dict(zip(law.parameters, ends.values.T, strict=True))
    table = table.assign(**params)
    if flops is not None:
        size, tokens = law.optimal(params, flops)
        table["tokens_per_param"] = tokens / size
    return table


def influence(result: FitResult) -> pd.DataFrame:
    """Influence of each row: estimate without it minus estimate with it. A row per fitted row, by
    its label, and a column per parameter."""
    import pandas as pd

    names = result.law.parameters
    best = np.array([result.estimates[name] for name in names])
    weights = result.points.weights * (1 - np.eye(len(result.points)))
    change = result.engine(weights, 1, best).values - best
    return pd.DataFrame(change, index=list(result.points.labels), columns=list(names))


def identifiability(result: FitResult) -> Identifiability:
    """The condition of the sensitivities at the optimum, and the direction that the rows see
    least; parameters on which no row depends make it infinite."""
    names = result.law.parameters
    rows = np.sqrt(result.points.weights)[:, None]
    sensitivity = rows * sensitivities(result.law, result.points, result.estimates)
    size = np.linalg.norm(sensitivity, axis=0)
    dead = size == 0
    if dead.any():
        return Identifiability(float("inf"), {names[at]: 1.0 for at in np.flatnonzero(dead)})
    _, strength, directions = np.linalg.svd(sensitivity / size, full_matrices=False)
    weakest = directions[-1] / size
    weakest = weakest / np.linalg.norm(weakest)
    order = np.argsort(-np.abs(weakest), kind="stable")
    with np.errstate(divide="ignore"):
        condition = float(np.divide(strength[0], strength[-1]))
    return Identifiability(condition, {names[at]: float(weakest[at]) for at in order})
