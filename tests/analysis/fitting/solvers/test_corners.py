"""Minima in a corner of a law are found along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from analysis.fitting.solvers.corners import settled
from analysis.fitting.solvers.formula import Formula
from analysis.fitting.solvers.newton import Solution, newton
from analysis.tables.points import Array
from scaling.laws import learning_curves

DELTA = 1e-3


def test_stops_on_a_break_go_on_to_one_minimum() -> None:
    """One power law under a law of two: Newton stops where a break meets a row."""
    x = np.geomspace(1e3, 1e8, 12)
    y = 4 * x**-0.12 * np.exp(np.random.default_rng(0).normal(0, 0.005, 12))
    law = Formula(learning_curves.two_power_laws(), {"x": x}, y, True)
    starts = np.array([[-0.13, 13.19 + each, 0.1196, 0.1212] for each in (-0.3, 0.02, 0.3)])
    stops = newton(law, np.ones((3, 12)), starts, DELTA)
    assert not stops.certified.any()
    assert np.ptp(stops.value) > 1e-4 * stops.value.min()
    ends = settled(law, np.ones((1, 12)), stops, DELTA)
    assert all(end.certified[0] for end in ends)
    values = [float(end.value[0]) for end in ends]
    assert values == pytest.approx([min(values)] * 3, rel=1e-9)
    near = ends[0].theta + np.random.default_rng(1).normal(0, 1e-5, (500, 4))
    assert (law.derivatives(np.ones((500, 12)), near, DELTA)[0] >= values[0]).all()


@dataclass
class Oblique:
    """|a - b| + (a + b - 3)^2, whose corner in a lies at b."""

    box: tuple[Array, Array] = (np.full(2, -9.0), np.full(2, 9.0))

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        a, b = theta.T
        side, off = np.sign(a - b), 2 * (a + b - 3)
        gradient = np.stack([side + off, off - side], axis=1)
        return np.abs(a - b) + (a + b - 3) ** 2, gradient, np.full((len(theta), 2, 2), 2.0)

    def directions(self, weights: Array, theta: Array) -> None:
        """theta itself."""


def test_a_corner_that_moves_with_another_parameter_holds_none() -> None:
    stop = Solution(np.array([[1.4, 1.4]]), np.array([0.04]), np.zeros(1, dtype=bool))
    (end,) = settled(Oblique(), np.ones((1, 1)), stop, DELTA)
    assert not end.certified[0]
