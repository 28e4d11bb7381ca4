"""The over-training and the error law recovered from runs sampled from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling.laws.chinchilla import chinchilla
from scaling.laws.error import error
from scaling.laws.overtraining import best_ratio, overtraining

LOSS = dict(overtraining.constants("gadre2024_c4").values)
ERROR = dict(error.constants("gadre2024_c4_17").values)


def sampled(noise: float, seed: int = 0) -> pd.DataFrame:
    """40 runs: five sizes at eight ratios of tokens to parameters."""
    rng = np.random.default_rng(seed)
    params = np.repeat(np.geomspace(1e7, 1.4e9, 5), 8)
    tokens = params * np.tile(5 * 2.0 ** np.arange(8), 5)
    loss = overtraining.predict(LOSS, params=params, tokens=tokens)
    loss = loss * np.exp(rng.normal(0, noise, len(params)))
    wrong = error.predict(ERROR, loss=loss) + rng.normal(0, noise, len(params))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss, "wrong": wrong})


@pytest.mark.parametrize("objective", ["raw_squared", "log_huber"])
def test_exact_runs_give_back_both_laws(objective: str):
    table = sampled(0.0)
    first = fit(overtraining, table, objective=objective)
    second = fit(error, table, loss="wrong", objective=objective)
    for result, truth in ((first, LOSS), (second, ERROR)):
        assert result.status is FitStatus.CONVERGED
        assert result.params == pytest.approx(truth, rel=1e-5)


def test_intervals_hold_the_truth():
    table = sampled(0.003)
    first = fit(overtraining, table, objective="log_squared", bootstrap=200)
    second = fit(error, table, loss="wrong", objective="raw_squared", bootstrap=200)
    for result, truth in ((first, LOSS), (second, ERROR)):
        assert result.status is FitStatus.CONVERGED
        for name, value in truth.items():
            low, high = result.interval(name)
            assert low < value < high, name
            assert high - low < 0.9 * value, name  # and narrow enough to be of use
    best = first.optimal(1e24).tokens_per_param
    assert best[1] < best_ratio(LOSS) < best[2]


def test_the_exact_solver_of_chinchilla_finds_the_same_floor():
    """Two exponents, by another solver, on runs that have one: they agree to the noise."""
    table = sampled(1e-5)
    ours = fit(overtraining, table, objective="log_squared").params
    theirs = fit(chinchilla, table, objective="log_squared").params
    assert theirs["alpha"] == pytest.approx(theirs["beta"], rel=2e-3)
    assert theirs["E"] == pytest.approx(ours["E"], rel=2e-3)
    assert theirs["alpha"] / 2 == pytest.approx(ours["eta"], rel=2e-3)
