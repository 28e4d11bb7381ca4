"""Parabolas by least squares."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimators.vertex import Profiles, parabola, parabolas, skewed

X = np.array([7.0, 8.0, 8.5, 9.5, 11.0])


def test_the_vertex_of_exact_parabolas_is_found_far_from_the_origin():
    places, leasts, bends = np.array([8.2, 9.9]), np.array([3.1, -0.4]), np.array([0.6, 2.0])
    y = leasts[:, None] + bends[:, None] * (X - places[:, None]) ** 2
    found = parabola(X, y)
    assert found.vertex == pytest.approx(places, rel=1e-12)
    assert found.least == pytest.approx(leasts, rel=1e-11)
    assert found.bend == pytest.approx(bends, rel=1e-11)
    assert found.at(X) == pytest.approx(y, rel=1e-12)


def test_a_line_has_no_vertex():
    found = parabola(X, np.zeros((1, 5)))
    assert not np.isfinite(found.vertex).any()


def test_skewed_curves_are_found_exactly_with_their_skew():
    """Three profiles of other sizes, levels and bends, one skew; resamples start from the data."""
    x = np.linspace(-1.5, 1.5, 21)
    groups = [np.arange(0, 6), np.arange(6, 13), np.arange(13, 21)]
    places, leasts, bends, skew = np.array([-1.2, -0.1, 0.8]), np.array([2.0, 1.5, 1.2]), 0.05, 0.15
    y = np.empty((2, len(x)))
    for moved in (0, 1):
        for at, rows in enumerate(groups):
            u = x[rows] - places[at] - 0.02 * moved
            y[moved, rows] = leasts[at] * np.exp(bends * (1 + at) * (u**2 + skew * u**3))
    profiles = Profiles.of(x, y, np.ones(len(x)), groups)
    found = skewed(profiles)
    assert found.skew == pytest.approx([skew, skew], rel=1e-6)
    assert found.place[0] == pytest.approx(places, abs=1e-8)
    assert found.place[1] == pytest.approx(places + 0.02, abs=1e-6)
    assert found.bend[0] == pytest.approx(bends * np.arange(1, 4), rel=1e-7)
    assert np.abs(found.misses).max() < 1e-9
    assert found.constants == 10
    assert np.abs(parabolas(profiles).place[0] - places).max() > 0.01


def test_a_parabola_by_weights_is_that_of_repeated_runs():
    y = np.array([[3.0, 2.6, 2.5, 2.7, 3.3]])
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    again = np.repeat(np.arange(5), weights.astype(int))
    assert parabola(X, y, weights).vertex == pytest.approx(parabola(X[again], y[:, again]).vertex)
