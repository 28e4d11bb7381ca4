"""Steps to a loss against batch."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimators.hyperbola import falling, solve

BATCH = np.array([100.0, 400.0, 1600.0, 6400.0])


def test_exact_steps_give_their_constants_back_under_any_weights():
    steps = 250.0 + 3e5 / BATCH
    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=5)
    for steps_min, tokens_min in solve(BATCH, steps, weights):
        assert steps_min == pytest.approx(250.0, rel=1e-9)
        assert tokens_min == pytest.approx(3e5, rel=1e-9)


def test_errors_count_relative_to_the_steps():
    """Steps too many by one share lower 1/S by that share, whatever the batch."""
    steps = 250.0 + 3e5 / BATCH
    (found,) = solve(BATCH, 1.1 * steps, np.ones((1, 4)))
    assert found == pytest.approx([275.0, 3.3e5], rel=1e-9)


def test_a_curve_that_turns_back_is_made_to_fall():
    assert falling(np.array([5.0, 3.0, 4.0, 2.0])) == pytest.approx([5.0, 3.5, 3.5, 2.0])
    assert falling(np.array([5.0, 4.0, 1.0])) == pytest.approx([5.0, 4.0, 1.0])
