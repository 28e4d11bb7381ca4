"""Minima in a corner of a law: along a parameter, the slope of f jumps over zero.

    df/dtheta_j < 0 just below, > 0 just above

Newton stops short there, at another point of the ridge from every start. The parameters are put on
their corners and held, and the others go on. The end is a minimum if f still rises on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.solvers.newton import Smooth, Solution, newton
from analysis.tables.points import Array

REACH = 1e-4  # in theta, on each side of a stop: the corner is within
HALVINGS = 24  # of that: still far above the rounding of theta
ASIDE = 1e-3 * REACH  # of the other parameters: far more than the halvings leave


@dataclass(frozen=True, eq=False)
class Held:
    """A problem whose `fixed` numbers stay as they are in `theta` (P,)."""

    whole: Smooth
    theta: Array
    fixed: NDArray[np.bool_]

    @property
    def box(self) -> tuple[Array, Array]:
        low, high = self.whole.box
        return np.where(self.fixed, self.theta, low), np.where(self.fixed, self.theta, high)

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        return self.whole.derivatives(weights, theta, delta)

    def directions(self, weights: Array, theta: Array) -> Array | None:
        return self.whole.directions(weights, theta)


def settled(problem: Smooth, weights: Array, ends: Solution, delta: float) -> list[Solution]:
    """Ends (R, P) of one weighting (1, n), each led on along its corners unless it is certified."""
    each = [
        Solution(ends.theta[[at]], ends.value[[at]], ends.certified[[at]])
        for at in range(len(ends.value))
    ]
    return [end if end.certified[0] else _led(problem, weights, end, delta) for end in each]


def _led(problem: Smooth, weights: Array, end: Solution, delta: float) -> Solution:
    theta, last = end.theta[0], end
    fixed = np.zeros(theta.size, dtype=bool)
    while True:
        theta, found = _corners(problem, weights, theta, delta)
        if not (found & ~fixed).any():
            break
        fixed |= found
        last = newton(Held(problem, theta, fixed), weights, theta[None], delta)
        theta = last.theta[0]
    if not fixed.any() or last.value[0] > end.value[0]:
        return end
    return Solution(last.theta, last.value, last.certified & bool(found[fixed].all()))


def _corners(
    problem: Smooth, weights: Array, theta: Array, delta: float
) -> tuple[Array, NDArray[np.bool_]]:
    """theta (P,) with its numbers put on the corners near them, and which have one (P,)."""
    size = theta.size
    every = np.repeat(weights, size, axis=0)

    def slopes(moves: Array, others: float = 0.0) -> Array:
        """df/dtheta_j where theta_j has moved by moves_j, and the others by `others`."""
        moved = theta + others + np.diag(moves - others)
        return np.diagonal(problem.derivatives(every, moved, delta)[1])

    low, high = np.full(size, -REACH), np.full(size, REACH)
    below, above = slopes(low), slopes(high)
    crossed, change = (below < 0) & (above > 0), above - below
    if not crossed.any():
        return theta, crossed
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rises = slopes(middle) > 0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    # past a corner that one of them lies on exactly, where the slope is between
    low, high = 2 * low - high, 2 * high - low
    jumps = [slopes(high, aside) - slopes(low, aside) for aside in (0.0, ASIDE)]
    found = crossed & (np.minimum(*jumps) > change / 2)  # of a smooth f next to nothing is left
    return np.where(found, theta + high, theta), found
