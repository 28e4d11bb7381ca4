"""The engine of a fit: the solver for a law and an objective on some points.

Additive power laws under a log objective go to `analysis.fitting.solvers.additive`, which is exact
and needs no compilation, also where parameters are held or tied. Every other law goes to
`analysis.fitting.solvers.formula`, by its derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.solvers.objective import Objective
from analysis.fitting.solvers.relations import relations, representable
from analysis.tables.points import Array, Points
from scaling.laws import Law


@dataclass(frozen=True)
class Ends:
    """The best fit under each weighting: values (R, P) in the order and units of the law; summed
    objectives (R,); marks of certified minima, and of values at a bound."""

    values: Array
    objective: Array
    certified: NDArray[np.bool_]
    held: NDArray[np.bool_]


@dataclass(frozen=True)
class Engine:
    """engine(weights (R, n), starts, warm values (P,) or None) -> Ends; the other fields say how
    it derives and starts, and where its code is."""

    run: Callable[[Array, int, Array | None], Ends]
    derivatives: str
    initialisation: str
    code: str

    def __call__(self, weights: Array, starts: int, warm: Array | None) -> Ends:
        return self.run(weights, starts, warm)


def engine(law: Law, points: Points, objective: Objective) -> Engine:
    """The engine of this law on these points."""
    if law.terms and objective.log and representable(law):
        return _additive(law, points, objective)
    return _formula(law, points, objective)


def _additive(law: Law, points: Points, objective: Objective) -> Engine:
    from analysis.fitting.solvers.additive import SCAN_POINTS, SCAN_RANGE, Problem, solve

    centre = points.log_x.mean(axis=1)
    problem = Problem(
        points.log_x - centre[:, None],
        np.log(points.loss),
        int(law.constant is not None),
        objective.delta,
        relations(law, centre, float(points.loss.min())),
    )
    own, turn, shift = problem.related.own, problem.related.turn, problem.related.shift
    head = np.count_nonzero(own < problem.offset_terms)
    split = np.count_nonzero(own < problem.terms)
    of = own[head:split] - problem.offset_terms  # the term of each free amplitude
    power, power_shift = turn[problem.terms :, split:], shift[problem.terms :]
    low, high = problem.box

    def to_values(free: Array) -> Array:
        """A_k = exp(a_k + alpha_k mean ln x_k)."""
        exponents = (free[:, split:] @ power.T + power_shift)[:, of]
        sizes = np.exp(free[:, head:split] + exponents * centre[of])
        return np.concatenate([free[:, :head] * problem.scale, sizes, free[:, split:]], axis=1)

    def to_free(values: Array) -> Array:
        exponents = (power @ values[split:] + power_shift)[of]
        with np.errstate(divide="ignore"):
            logs = np.log(values[head:split]) - exponents * centre[of]
        return np.concatenate([values[:head] / problem.scale, logs, values[split:]])

    def run(weights: Array, starts: int, warm: Array | None) -> Ends:
        found = solve(problem, weights, starts, None if warm is None else to_free(warm))
        # a dead term, a = -inf with exponent 0, lies outside the box in both of its entries
        held = (found.theta <= low) | (found.theta >= high)
        return Ends(to_values(found.theta), found.value / objective.unit, found.certified, held)

    return Engine(
        run,
        "by formula",
        f"variable projection over {SCAN_POINTS} log-spaced values in "
        f"[{SCAN_RANGE[0]:g}, {SCAN_RANGE[1]:g}] of each exponent that is fitted",
        "analysis/fitting/solvers/additive.py",
    )


def _formula(law: Law, points: Points, objective: Objective) -> Engine:
    from analysis.fitting.solvers.formula import Formula, solve

    problem = Formula(law, points.variables, points.loss, objective.log)
    problem.check()
    low, high = problem.box

    def run(weights: Array, starts: int, warm: Array | None) -> Ends:
        first = None if warm is None else problem.to_theta(warm)
        found = solve(problem, weights, starts, objective.delta, first)
        held = (found.theta <= low) | (found.theta >= high)
        return Ends(
            problem.to_values(found.theta), found.value / objective.unit, found.certified, held
        )

    how = "its slopes by automatic differentiation"
    return Engine(run, how, problem.initialisation, "analysis/fitting/solvers/formula.py")
