"""The best value of a setting: its interval holds the truth, and an edge is no measurement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.estimators.vertex import parabola
from analysis.hyperparameters.best import best_setting
from analysis.hyperparameters.optimum import Where

STEEP = 0.1875  # the rise two octaves above the best is 2.2 times that below


def valley(rates, best: float, noise: float, seeds: int, rng) -> np.ndarray:
    """Losses [S, V], with what each seed shares over all rates."""
    u = np.log2(rates / best)
    curve = 2.7 + 0.01 * u**2 * (1 + STEEP * np.clip(u, -3, 6))
    shared = rng.normal(0, 0.05, (seeds, 1))
    return curve + shared + rng.normal(0, noise, (seeds, len(rates)))


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.001), (3, 0.001), (3, 0.005)])
def test_the_interval_holds_the_truth_in_valleys_that_are_steeper_above(seeds: int, noise: float):
    rng, held, by_parabola, draws = np.random.default_rng(0), [], [], 200
    rates = 0.01 * 2.0 ** np.arange(-3, 4)
    for _ in range(draws):
        best = 0.01 * 2 ** rng.uniform(-0.5, 0.5)
        losses = valley(rates, best, noise, seeds, rng)
        found = best_setting(rates, losses)
        if found.where is Where.INSIDE:
            held.append(found.low <= best <= found.high)
            by_parabola.append(
                float(parabola(np.log2(rates[1:-1] / best), losses.mean(0)[None, 1:-1]).vertex[0])
            )
    assert len(held) > 0.85 * draws
    assert 0.9 <= np.mean(held) <= 0.99
    assert np.mean(by_parabola) < -0.1  # octaves: the bias that the cubic has not


def test_the_value_is_exact_without_noise_in_any_order():
    rates = np.array([0.08, 0.01, 0.02, 0.04, 0.005])
    u = np.log2(rates / 0.017)
    found = best_setting(rates, (3 + 0.02 * u**2 + 0.001 * u**3)[None])
    assert found.value == pytest.approx(0.017, rel=1e-6) and found.loss == pytest.approx(3)
    assert found.low <= found.value <= found.high and not found.reason


@pytest.mark.parametrize(
    ("losses", "where", "says"),
    [
        ([3, 2, 1, 0.5, 0.4], Where.HIGH, "try higher values"),
        ([1, 2, 3, 4, 5], Where.LOW, "try lower values"),
        ([1.0, 1.2, 0.9, 1.2, 1.0], Where.NOT_CONVEX, "add seeds"),
    ],
)
def test_an_edge_and_a_rough_curve_are_no_measurement(losses, where: Where, says: str):
    found = best_setting(0.01 * 2.0 ** np.arange(5), np.array([losses], float))
    assert found.where is where and says in found.reason
    assert math.isnan(found.low) or found.low == 0 or found.high == math.inf


def test_four_runs_are_too_few():
    found = best_setting(np.array([1.0, 2, 4, 8]), np.array([[3, 1, 2, 4.0]]))
    assert found.where is Where.TOO_FEW and found.value == pytest.approx(2)
