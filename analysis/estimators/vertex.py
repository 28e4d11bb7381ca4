"""Parabolas by least squares, and their vertices:

y = level + slope (x - middle) + bend (x - middle)^2,   x* = middle - slope / (2 bend),
y* = level - slope^2 / (4 bend)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.tables.points import Array


@dataclass(frozen=True)
class Parabola:
    """R parabolas over the same x; `bend`, `slope` and `level` are (R,)."""

    middle: float
    bend: Array
    slope: Array
    level: Array

    @property
    def vertex(self) -> Array:
        """x* (R,); the place of a maximum where `bend` < 0, and not finite where it is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.middle - self.slope / (2 * self.bend))

    @property
    def least(self) -> Array:
        """y* (R,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.level - self.slope**2 / (4 * self.bend))

    def at(self, x: Array) -> Array:
        """y (R, k) at x (k,)."""
        away = x - self.middle
        return self.level[:, None] + (self.slope[:, None] + self.bend[:, None] * away) * away


def parabola(x: Array, y: Array) -> Parabola:
    """The parabolas through x (k,) and each row of y (R, k); k of 3 or more different x."""
    middle = float(x.mean())
    bend, slope, level = np.linalg.pinv(np.vander(x - middle, 3)) @ y.T
    return Parabola(middle, bend, slope, level)
