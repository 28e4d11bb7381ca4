"""Sizes by the inverse of a known law, and the top of a known parabola."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.effective_size import effective_size, peak

E, A, ALPHA = 1.0, 30.0, 0.4
NOISE = 0.004


def law(N: float) -> float:
    return E + A / N**ALPHA


def clean(seed: int) -> FitResult:
    rng = np.random.default_rng(seed)
    N = np.repeat([2e3, 6e3, 1.5e4, 4e4, 1e5], 3)
    table = pd.DataFrame({"params_total": N, "loss": law(N) * np.exp(rng.normal(0, NOISE, len(N)))})
    return fit("power_law", table, x="params_total", bootstrap=100, objective="log_squared")


def test_the_interval_holds_the_size_of_a_run_of_known_worth() -> None:
    """A run of 4e4 parameters that learned as one of 1e4, with its own luck: 95 % of the time."""
    rng, held = np.random.default_rng(7), 0
    for seed in range(20):
        loss = law(1e4) * np.exp(rng.normal(0, NOISE))
        found = effective_size(clean(seed), loss)
        assert found.low <= found.value <= found.high
        assert found.high / found.low < 2
        held += found.low <= 1e4 <= found.high
    assert held >= 17


def test_below_the_least_loss_of_the_law_there_is_no_size() -> None:
    found = effective_size(clean(0), 0.5)
    assert found.value == np.inf
    assert found.high == np.inf


def test_the_top_of_a_parabola_is_found_with_its_interval() -> None:
    repeats = np.array([4.0, 16, 64, 256, 1024])
    losses = 2.0 * np.exp(0.1 - 0.01 * np.log(repeats / 50) ** 2)
    found = peak(repeats, losses, noise=0.01)
    assert found.repeats == pytest.approx(50, rel=1e-6)
    assert found.low < 50 < found.high
    assert found.inside > 0.95


@pytest.mark.parametrize("slope", [-0.1, 0.1])
def test_a_loss_that_goes_one_way_has_no_top(slope: float) -> None:
    repeats = np.array([4.0, 16, 64, 256])
    found = peak(repeats, 2.0 * repeats**slope, noise=0.001)
    assert np.isnan(found.repeats)
    assert found.inside < 0.1
