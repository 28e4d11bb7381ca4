"""The engine of a fit: the solver for a law and an objective on some points.

Additive power laws under a log objective go to `analysis.fitting.solvers.additive`, which is exact
and needs no compilation, also where parameters are held or tied. Every other law goes to
`analysis.fitting.solvers.formula`, by its derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.solvers.objective import Objective
from analysis.fitting.solvers.relations import relations, representable
from analysis.tables.points import Array, Points
from scaling.laws import Law

if TYPE_CHECKING:
    from analysis.fitting.solvers.additive import Problem
    from analysis.fitting.solvers.newton import Solution


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
    """engine(weights (R, n), starts, warm values (P,) or None) -> Ends; the texts say how it
    derives and starts, and where its code is."""

    run: Callable[[Array, int, Array | None], Ends]
    derivatives: str
    initialisation: str
    code: str
    unaware: Callable[[Array], Ends] | None = None  # where ends of the search depend on the rows

    def __call__(self, weights: Array, starts: int, warm: Array | None) -> Ends:
        return self.run(weights, starts, warm)

    def rolled(self, weights: Array, warm: Array) -> Ends:
        """The ends of weightings that leave out later rows, and know nothing of them. A law whose
        ends of the search come from the rows is searched anew, between those of the rows left."""
        return self.run(weights, 1, warm) if self.unaware is None else self.unaware(weights)


def engine(law: Law, points: Points, objective: Objective) -> Engine:
    """The engine of this law on these points."""
    if law.terms and objective.log and representable(law):
        return _additive(law, points, objective)
    return _formula(law, points, objective)


def _additive(law: Law, points: Points, objective: Objective) -> Engine:
    from analysis.fitting.solvers.additive import SCAN_POINTS, SCAN_RANGE, solve

    scales = Scales.of(law, points, objective)

    def run(weights: Array, starts: int, warm: Array | None) -> Ends:
        first = None if warm is None else scales.to_free(warm)
        return scales.ends(solve(scales.problem, weights, starts, first))

    return Engine(
        run,
        "by formula",
        f"variable projection over {SCAN_POINTS} log-spaced values in "
        f"[{SCAN_RANGE[0]:g}, {SCAN_RANGE[1]:g}] of each exponent that is fitted",
        "analysis/fitting/solvers/additive.py",
    )


@dataclass(frozen=True)
class Scales:
    """An additive law on some points as the solver sees it, and the way to its values and back:
    A_k = exp(a_k + alpha_k mean ln x_k)."""

    problem: Problem
    centre: Array
    unit: float  # of the objective

    @classmethod
    def of(cls, law: Law, points: Points, objective: Objective) -> Scales:
        from analysis.fitting.solvers.additive import Problem

        centre = points.log_x.mean(axis=1)
        problem = Problem(
            points.log_x - centre[:, None],
            np.log(points.loss),
            int(law.constant is not None),
            objective.delta,
            relations(law, centre, float(points.loss.min())),
        )
        return cls(problem, centre, objective.unit)

    def to_values(self, free: Array) -> Array:
        """Values in the order and units of the law, (R, P), of free numbers (R, F)."""
        head, split, of, power, shift = self._parts
        exponents = (free[:, split:] @ power.T + shift)[:, of]
        sizes = np.exp(free[:, head:split] + exponents * self.centre[of])
        scaled = free[:, :head] * self.problem.scale
        return np.concatenate([scaled, sizes, free[:, split:]], axis=1)

    def to_free(self, values: Array) -> Array:
        """Free numbers (F,) of values (P,)."""
        head, split, of, power, shift = self._parts
        exponents = (power @ values[split:] + shift)[of]
        with np.errstate(divide="ignore"):
            logs = np.log(values[head:split]) - exponents * self.centre[of]
        return np.concatenate([values[:head] / self.problem.scale, logs, values[split:]])

    def ends(self, found: Solution) -> Ends:
        """The ends of the solver, in values."""
        low, high = self.problem.box
        # a dead term, a = -inf with exponent 0, lies outside the box in both of its entries
        held = (found.theta <= low) | (found.theta >= high)
        return Ends(self.to_values(found.theta), found.value / self.unit, found.certified, held)

    @property
    def _parts(self) -> tuple[Any, ...]:
        """Ends of the offset and of the amplitudes among the free numbers, the term of each free
        amplitude, and the exponents as an affine function of the free ones."""
        related, terms = self.problem.related, self.problem.terms
        head = np.count_nonzero(related.own < self.problem.offset_terms)
        split = np.count_nonzero(related.own < terms)
        of = related.own[head:split] - self.problem.offset_terms
        return head, split, of, related.turn[terms:, split:], related.shift[terms:]


def _formula(law: Law, points: Points, objective: Objective) -> Engine:
    from analysis.fitting.solvers.formula import Formula, search, solve
    from analysis.fitting.solvers.newton import joined

    problem = Formula(law, points.variables, points.loss, objective.log)
    problem.check()

    def ends(found: Solution, low: Array, high: Array, values: Array) -> Ends:
        held = (found.theta <= low) | (found.theta >= high)
        return Ends(values, found.value / objective.unit, found.certified, held)

    def run(weights: Array, starts: int, warm: Array | None) -> Ends:
        first = None if warm is None else problem.to_theta(warm)
        found = solve(problem, weights, starts, objective.delta, first)
        return ends(found, *problem.box, problem.to_values(found.theta))

    def unaware(weights: Array) -> Ends:
        parts = [replace(problem, seen=each > 0) for each in weights]
        found = [
            search(part, each[None], objective.delta, rounds=1)
            for part, each in zip(parts, weights, strict=True)
        ]
        values = [part.to_values(each.theta)[0] for part, each in zip(parts, found, strict=True)]
        low, high = (np.stack(each) for each in zip(*(part.box for part in parts), strict=True))
        return ends(joined(found), low, high, np.stack(values))

    return Engine(
        run,
        "its slopes by automatic differentiation",
        problem.initialisation,
        "analysis/fitting/solvers/formula.py",
        unaware if any(each.within for each in law.free) else None,
    )
