"""Laws of loss curves: the features of a schedule against the sums of the papers, term by term."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from scaling.common.errors import UserError
from scaling.laws.annealing import features, momentum, multi_power

POWER = multi_power.constants("luo2025_25M").values
MOMENTUM = {"L0": 3.0, "A": 0.5, "alpha": 0.5, "C": 1.6, "forgetting": 0.004}
PEAK = 3e-4


def cosine(length: int, warmup: int = 200, end: float = 3e-5) -> np.ndarray:
    turn = np.linspace(0, np.pi, length - warmup)
    return np.concatenate(
        [np.linspace(0, PEAK, warmup), end + (PEAK - end) * (1 + np.cos(turn)) / 2]
    )


def multi_power_by_hand(p: Mapping[str, float], lrs: np.ndarray, step: int) -> float:
    annealed = 0.0
    for k in range(1, step + 1):
        since = lrs[k : step + 1].sum()
        reach = p["C"] * lrs[k] ** -p["gamma"] * since
        annealed += (lrs[k - 1] - lrs[k]) * (1 - (1 + reach) ** -p["beta"])
    return p["L0"] + p["A"] * lrs[: step + 1].sum() ** -p["alpha"] - p["B"] * annealed


def momentum_by_hand(p: Mapping[str, float], lrs: np.ndarray, step: int) -> float:
    kept, area = 0.0, 0.0
    for i in range(1, step + 1):
        kept = kept * (1 - p["forgetting"]) + lrs[i - 1] - lrs[i]
        area += kept
    return p["L0"] + p["A"] * lrs[: step + 1].sum() ** -p["alpha"] - p["C"] * area


CASES = ((multi_power, POWER, multi_power_by_hand), (momentum, MOMENTUM, momentum_by_hand))
IDS = ("multi_power", "momentum")


@pytest.mark.parametrize(("law", "params", "by_hand"), CASES, ids=IDS)
def test_a_schedule_of_few_changes_is_exact(law, params, by_hand):
    lrs = np.repeat([PEAK, 1e-4, 2e-4, 1e-5], 100)
    steps = np.array([0, 99, 100, 101, 250, 399])
    found = law.predict(params, **features(lrs, steps))
    assert found == pytest.approx([by_hand(params, lrs, step) for step in steps], rel=1e-13)


@pytest.mark.parametrize(("law", "params", "by_hand"), CASES, ids=IDS)
def test_merged_changes_stand_for_all(law, params, by_hand):
    """Within 5e-5 nats on a decay ten times as fast as published ones; the error falls with the
    square of the fineness."""
    lrs, steps = cosine(2000), np.array([200, 201, 700, 1500, 1999])
    exact = np.array([by_hand(params, lrs, step) for step in steps])

    def error(per_octave: float) -> float:
        return np.abs(law.predict(params, **features(lrs, steps, per_octave)) - exact).max()

    assert np.abs(law.predict(params, **features(lrs, steps)) - exact).max() < 5e-5
    assert error(1e5) < 1e-12, "nothing is merged"
    assert error(16) < error(4) / 8 < error(1) / 64


def test_features_stay_small_for_long_schedules():
    long, short = (
        features(cosine(length), [length - 1])["drop"].shape[1] for length in (80000, 2000)
    )
    assert long < short + 4 * 7 + 20, "a few more octaves, not forty times the changes"


def test_a_constant_rate_is_a_power_law_of_its_sum():
    lrs, steps = np.full(50, PEAK), np.arange(50)
    found = multi_power.predict(POWER, **features(lrs, steps))
    summed = PEAK * np.arange(1, 51)
    assert found == pytest.approx(POWER["L0"] + POWER["A"] * summed ** -POWER["alpha"], rel=1e-13)


def test_annealing_lowers_the_loss_of_the_same_sum():
    """Two schedules of one sum: the one that has come down is lower."""
    high, down = np.full(400, 2e-4), np.linspace(4e-4, 0, 400)
    losses = [multi_power.predict(POWER, **features(lrs, [399]))[0] for lrs in (high, down)]
    assert high.sum() == pytest.approx(down.sum())
    assert np.isfinite(losses).all(), "a decay to 0 has a value"
    assert losses[1] < losses[0]


def test_parameters_of_many_fits_at_once():
    made = features(cosine(500), [300, 499])
    many = {name: np.full((3, 1, 1), value) for name, value in POWER.items()}
    assert multi_power.predict(many, **made).shape == (3, 2)


@pytest.mark.parametrize(
    ("lrs", "steps", "message"),
    [
        ([1e-3, 1e-3], [2], "2 to 2 asked of a schedule .* steps 0 to 1"),
        ([1e-3, -1e-3], [1], "not negative"),
        ([1e-3, 1e-3], [0.5], "whole numbers"),
        ([1e-3, 1e-3], np.array([], int), "whole numbers"),
        ([0.0, 1e-3], [0, 1], "up to step 0 the learning rate is 0"),
        ([1e-3, 0.0, 1e-3, 1e-3], [3], "falls to 0 and rises again"),
    ],
)
def test_bad_schedules_are_named(lrs, steps, message: str):
    with pytest.raises(UserError, match=message):
        features(lrs, steps)
