"""The data-constrained law recovered from runs sampled from it, whole and with its base held."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling.laws.chinchilla import chinchilla
from scaling.laws.data_constrained import BASE, data_constrained

TRUTH = {**data_constrained.constants("muennighoff2023").values, "alpha": 0.33, "beta": 0.37}


def design(noise: float, seed: int = 0) -> pd.DataFrame:
    """210 runs: seven sizes, six amounts of unique tokens, one to sixty epochs over them."""
    params, unique, epochs = (
        each.ravel()
        for each in np.meshgrid(
            np.geomspace(1e7, 1e10, 7), np.geomspace(1e8, 5e10, 6), [1, 2, 5, 15, 60]
        )
    )
    table = {"params": params, "tokens": unique * epochs, "unique_tokens": unique}
    loss = data_constrained.predict(TRUTH, **table)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(loss)))
    return pd.DataFrame({**table, "loss": loss}).rename(columns={"params": "params_total"})


def test_exact_runs_give_back_all_seven_constants():
    result = fit(data_constrained, design(0.0))
    assert result.status is FitStatus.CONVERGED
    assert result.params == pytest.approx(TRUTH, rel=1e-6)


def test_small_noise_moves_them_little():
    result = fit(data_constrained, design(3e-4), objective="log_squared")
    for name, value in TRUTH.items():
        assert result.params[name] == pytest.approx(value, rel=0.03), name


def test_the_recipe_of_the_paper():
    """Chinchilla's law on runs of one epoch that their tokens feed, then R_D*, R_N* alone."""
    table = design(0.002)
    once = table[(table["tokens"] == table["unique_tokens"])]
    fed = once[once["params_total"] <= 0.02 * once["tokens"]]
    base = fit(chinchilla, fed, objective="log_squared").params
    assert base["alpha"] == pytest.approx(TRUTH["alpha"], rel=0.15)

    held = data_constrained.given(**{name: TRUTH[name] for name in BASE})
    assert held.parameters == ("R_D_star", "R_N_star")
    result = fit(held, table, objective="log_squared", bootstrap=200)
    for name in held.parameters:
        low, high = result.interval(name)
        assert low < TRUTH[name] < high, name
        assert high - low < 0.3 * TRUTH[name], name


def test_runs_that_repeat_nothing_cannot_tell_how_repeats_wear():
    table = design(0.002)
    once = table[table["tokens"] == table["unique_tokens"]]
    held = data_constrained.given(**{name: TRUTH[name] for name in BASE})
    result = fit(held, once, objective="log_squared")
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert np.isnan(result.params["R_D_star"])
    assert result.params["R_N_star"] == pytest.approx(TRUTH["R_N_star"], rel=0.1)
