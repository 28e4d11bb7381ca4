"""The routed law recovered from a design like that of its paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling.laws.routed import cutoff, effective_params, routed

TRUTH = {"a": -0.083, "b": -0.12, "c": 0.0105, "d": 1.115, "E_start": 2.1, "E_max": 300.0}


def design(noise: float, seed: int = 0) -> pd.DataFrame:
    """Six sizes by ten numbers of experts."""
    sizes = np.repeat([16.5e6, 27e6, 57e6, 132e6, 368e6, 1.3e9], 10)
    experts = np.tile(2.0 ** np.arange(10), 6)
    loss = routed.predict(TRUTH, params=sizes, experts=experts)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(loss)))
    return pd.DataFrame({"params_dense": sizes, "experts": experts, "loss": loss})


def test_exact_data_give_back_the_law():
    result = fit(routed, design(noise=0), params="params_dense", objective="log_squared")
    assert result.status is FitStatus.CONVERGED
    for name, value in TRUTH.items():
        assert result.params[name] == pytest.approx(value, rel=1e-5)


def test_intervals_hold_the_truth():
    """Noise of 0.7 %, the spread that is left in the released runs."""
    result = fit(
        routed, design(noise=0.007, seed=1), params="params_dense", objective="log_squared",
        bootstrap=100,
    )  # fmt: skip
    assert result.status is FitStatus.CONVERGED
    for name, value in TRUTH.items():
        low, high = result.interval(name)
        assert low < value < high, name
    samples = dict(zip(routed.parameters, result.samples.T, strict=True))
    for derived in (cutoff, lambda params: effective_params(params, 5e6, 128)):
        low, high = np.quantile(derived(samples), [0.025, 0.975])
        assert low < derived(TRUTH) < high
    low, high = result.interval("a")
    assert high - low < 0.02, "and they are narrow enough to say something"
