"""The fit rolled forward over its own rows: each origin sees the rungs below it alone, and predicts
every later rung.

A rung is a group of runs of about one compute. An origin k is a weighting of the fitted rows that
is zero from rung k on, so all origins are one batch for the solver. Each keeps, for later runs,

    e = ln(measured) - ln(predicted),   h = its distance from the rows below k (`reach`),
    s = the residual sd of the rows below, n - P degrees of freedom, f their fall per e-fold,
    b = s sqrt(g (J^T W J)^-1 g^T),   g, J = d ln L / d theta at the run and at the rows below,

b the error of the constants to first order. Of a law whose breaks lie among the rows, f is at least
that of all rows: those on a plateau say nothing of the fall to come. Origins without a certified
minimum, or whose rows do not determine the later ones, are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.identifiability import sensitivities
from analysis.fitting.prediction.reach import (
    check_reach,
    distance,
    factors,
    size_of,
    trend,
)
from analysis.fitting.solvers.engine import Engine
from analysis.tables.points import Array, Points
from scaling.common.errors import UserError
from scaling.laws import Law

RUNG = "rung"  # column of a study that names them
RUNGS = 10  # at most: more only repeat each other
SPAN = 1.15  # of the compute of one rung
SPARE = 2  # rows beyond the constants, for a residual sd
FLAT = 1e-6  # directions of the constants this much weaker than the strongest are not resolved
ROUNDING = 1e-5  # of a written loss: no log residual is known better


@dataclass(frozen=True)
class Origin:
    """A fit of `fitted` rows below `rung`, and its errors at the m runs of that rung and later.

    `log_errors`, `distance` and `constants` are e, h and b, each (m,); `noise` is s, `trend` f, and
    `objective` the minimum of the fit.
    `share` (m,) sums to 1: each later rung counts alike, and a run in it by its weight.
    """

    rung: int
    fitted: int
    labels: tuple[str, ...]
    later: NDArray[np.intp]
    weights: Array
    log_errors: Array
    distance: Array
    constants: Array
    noise: float
    trend: float
    objective: float = math.nan

    @property
    def fall(self) -> Array:
        """f h, the fall of ln L that the rows below promise over the distance, (m,)."""
        return self.trend * self.distance

    @property
    def next_errors(self) -> Array:
        """The errors at the rung itself."""
        return self.log_errors[self.later == self.rung]

    @property
    def share(self) -> Array:
        rungs, which = np.unique(self.later, return_inverse=True)
        return self.weights / (len(rungs) * np.bincount(which, self.weights)[which])


def rungs(size: Array, named: Array | None = None) -> NDArray[np.intp]:
    """The rung of each row, 0 .. K - 1, in the order of `size`: its name, or else its group of rows
    within a factor of 1.15. More than ten are merged into ten of about as many groups."""
    if named is None:
        first, named = 0.0, np.empty(len(size))
        for at in np.argsort(size, kind="stable"):
            first = size[at] if size[at] > SPAN * first else first
            named[at] = first
    names, group = np.unique(named, return_inverse=True)
    order = np.argsort([np.median(size[group == at]) for at in range(len(names))], kind="stable")
    place = np.argsort(order)[group]
    return np.asarray(place * RUNGS // len(names) if len(names) > RUNGS else place)


def origins(law: Law, points: Points) -> list[tuple[int, NDArray[np.bool_]]]:
    """The rungs that the rows below them can predict, and these rows."""
    group = groups(points)
    return [
        (rung, below)
        for rung in range(1, int(group.max()) + 1)
        if np.count_nonzero(below := group < rung) >= len(law.parameters) + SPARE
        and _determined(law, points, below)
    ]


def roll(law: Law, points: Points, engine: Engine, warm: Array) -> tuple[Origin, ...]:
    """Every origin that the rows allow. `warm` (P,) are constants to start from, beside a start of
    the solver's own, where the rows do not set the ends of the search (`Engine.rolled`)."""
    able, group = origins(law, points), groups(points)
    if not able:
        return ()
    weights = np.array([below * points.weights for _, below in able])
    ends = engine.rolled(weights, warm)
    # rows on a plateau, which such a law has, promise the fall of the whole table
    least = trend(size_of(points.variables), points.loss) if engine.unaware else 0.0
    return tuple(
        replace(each, trend=max(each.trend, least))
        for each in (
            _origin(law, points, group, rung, values, float(total), ~held)
            for (rung, _), values, total, held, certified in zip(
                able, ends.values, ends.objective, ends.held, ends.certified, strict=True
            )
            if certified and math.isfinite(total)
        )
    )


def groups(points: Points) -> NDArray[np.intp]:
    """The rung of each row, by the column of a study where there is one."""
    named = points.rows[RUNG].to_numpy() if RUNG in points.rows.columns else None
    return rungs(size_of(points.variables), named)


def _origin(
    law: Law, points: Points, group: NDArray[np.intp], rung: int, values: Array, total: float,
    free: NDArray[np.bool_],
) -> Origin:  # fmt: skip
    """The origin below a rung, fitted with `values` (P,) to an objective of `total`; those not
    `free` are at a bound."""
    below = group < rung
    found = dict(zip(law.parameters, values.tolist(), strict=True))
    errors = np.log(points.loss) - np.log(law.predict(found, **points.variables))
    noise = residual_sd(errors[below], points.weights[below], len(values))
    slopes = sensitivities(law, points, found)[:, free]
    weighted = np.sqrt(points.weights[below])[:, None] * slopes[below]
    return Origin(
        rung=rung,
        fitted=int(np.count_nonzero(below)),
        labels=tuple(np.asarray(points.labels, dtype=object)[~below]),
        later=group[~below],
        weights=points.weights[~below],
        log_errors=errors[~below],
        distance=distance(factors(_of(points, ~below), _of(points, below))),
        constants=noise * np.linalg.norm(slopes[~below] @ np.linalg.pinv(weighted, FLAT), axis=1),
        noise=noise,
        trend=trend(size_of(_of(points, below)), points.loss[below]),
        objective=total,
    )


def residual_sd(residuals: Array, weights: Array, constants: int) -> float:
    """s, with n - P degrees of freedom; the mean square is weighted as the fit was.

    nan where n = P: a curve through every row leaves no residuals."""
    freedom = len(residuals) - constants
    if freedom < 1:
        return math.nan
    mean = float(np.average(residuals**2, weights=weights))
    return math.sqrt(mean * len(residuals) / freedom + ROUNDING**2)


def _of(points: Points, rows: NDArray[np.bool_]) -> dict[str, Array]:
    return {name: values[rows] for name, values in points.variables.items()}


def _determined(law: Law, points: Points, below: NDArray[np.bool_]) -> bool:
    try:
        check_reach(law, _of(points, below), _of(points, ~below))
    except UserError:
        return False
    return True
