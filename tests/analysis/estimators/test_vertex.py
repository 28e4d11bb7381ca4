"""Parabolas by least squares."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimators.vertex import parabola

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
