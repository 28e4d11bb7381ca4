"""Noise from repeated runs and from neighbouring sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.estimators.profile_noise import Noise, local_noise, repeats

GROUPS = [np.arange(0, 9), np.arange(9, 18)]
X = np.tile(np.linspace(-2, 2, 9), 2) + np.repeat([0.0, 1.0], 9)
ONES, ALIKE = np.ones(18), np.zeros(18, np.intp)


def test_neighbours_annihilate_cubics_and_keep_the_noise():
    cubic = 2 + 0.03 * X**2 - 0.01 * X**3
    assert local_noise(X, cubic, ONES, ALIKE, GROUPS).sd < 1e-12
    rng = np.random.default_rng(0)
    found = [
        local_noise(X, cubic + 0.01 * rng.standard_normal(18), ONES, ALIKE, GROUPS)
        for _ in range(200)
    ]
    squares = np.array([each.sd**2 for each in found])
    assert squares.mean() == pytest.approx(1e-4, rel=0.1)
    # the variance of s^2 is 2 sigma^4 / f: 5 contrasts of each group, correlated
    assert 2 * 1e-8 / squares.var() == pytest.approx(found[0].freedom, rel=0.3)
    assert 4 < found[0].freedom < 9


def test_repeated_runs_go_first_unless_their_settings_differ():
    x, groups = np.repeat(X[::3], 3), [np.arange(0, 9), np.arange(9, 18)]
    y = np.tile([0.0, 0.01, -0.01], 6) + x**4
    found = local_noise(x, y, ONES, ALIKE, groups)
    assert found.sd == pytest.approx(0.01) and found.freedom == 12
    rates = pd.DataFrame({"loss": y, "optimizer.learning_rate": np.tile([1.0, 2.0, 3.0], 6)})
    assert repeats(rates).tolist() == [0, 1, 2] * 6
    assert local_noise(x, y, ONES, repeats(rates), groups).freedom == 0  # three sizes
    blank = rates.assign(batch=[None, "a", np.nan] * 6)  # a setting that some rows leave open
    assert repeats(blank).tolist() == [0, 1, 2] * 6


def test_noise_explains_what_it_may():
    assert Noise(0.01, 10).explains(Noise(0.012, 20))
    assert not Noise(0.01, 10).explains(Noise(0.02, 20))
    assert Noise(float("nan"), 0).explains(Noise(0.02, 20))
    assert Noise(0.0, 10).explains(Noise(1e-5, 20))  # no run repeats as closely
    drawn = Noise(0.01, 4).draw(np.random.default_rng(0), 4000)
    assert np.mean(1 / drawn**2) == pytest.approx(1e4, rel=0.05)
