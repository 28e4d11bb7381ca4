"""The over-training law and the error law: identities, closed forms, published constants."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.laws.chinchilla import chinchilla
from scaling.laws.error import error
from scaling.laws.overtraining import best_ratio, overtraining, run_at

KNOWN = {"E": 1.8, "a": 212.0, "b": 367.0, "eta": 0.136}


def test_by_hand():
    params = {"E": 1.0, "a": 2.0, "b": 3.0, "eta": 0.5}
    loss = overtraining.predict(params, params=2.0, tokens=8.0)  # C = 96, M = 4
    assert loss == pytest.approx(1 + (2 * 2 + 3 / 2) / 96**0.5)


def test_it_is_chinchilla_with_one_exponent():
    tied = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.31}
    turned = {"E": 1.7, "a": 400.0 * 6**0.155, "b": 900.0 * 6**0.155, "eta": 0.155}
    params, tokens = np.geomspace(1e7, 1e11, 7)[:, None], np.geomspace(1e9, 1e13, 5)
    ours = overtraining.predict(turned, params=params, tokens=tokens)
    theirs = chinchilla.tied(beta="alpha").predict(tied, params=params, tokens=tokens)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)

    for budget in (1e18, 1e24):
        split = overtraining.optimal(turned, budget)
        assert split == pytest.approx(chinchilla.tied(beta="alpha").optimal(tied, budget))


@pytest.mark.parametrize("flops", [1e17, 1e25])
def test_best_ratio_is_the_least_loss_at_any_compute(flops: float):
    best = best_ratio(KNOWN)
    params, tokens = overtraining.optimal(KNOWN, flops)
    assert tokens / params == pytest.approx(best)
    assert 6 * params * tokens == pytest.approx(flops)
    least = overtraining.predict(KNOWN, params=params, tokens=tokens)
    for ratio in (best / 1.1, best * 1.1):
        assert overtraining.predict(KNOWN, **run_at(flops, ratio)) > least


def test_at_a_fixed_ratio_the_loss_is_a_power_law_of_compute_with_exponent_eta():
    flops = np.array([1e18, 1e20, 1e22])
    for ratio in (20, 640):
        above = overtraining.predict(KNOWN, **run_at(flops, ratio)) - KNOWN["E"]
        slopes = np.diff(np.log(above)) / np.diff(np.log(flops))
        assert slopes == pytest.approx([-KNOWN["eta"]] * 2)


@pytest.mark.parametrize(
    ("name", "paper", "code"),
    [
        ("c4", (1.5083, 141.3, 189.5, 0.12124), (113.6926, 189.5155, -0.2424722, 1.5082605)),
        ("redpajama", (1.8366, 212.2, 366.7, 0.13643), (166.211, 366.6872, -0.2728507, 1.8366484)),
        ("refinedweb", (1.7345, 157.1, 246.2, 0.1272), (125.0957, 246.2067, -0.2543948, 1.7344621)),
    ],
)
def test_published_constants_in_both_parametrisations(
    name: str, paper: tuple[float, ...], code: tuple[float, ...]
):
    values = overtraining.constants(f"gadre2024_{name}").values
    found = [values[key] for key in ("E", "a", "b", "eta")]
    assert found == pytest.approx(paper, rel=4e-4)  # as rounded in print
    p, r, q, floor = code
    params, ratio = 4.1e8, 80.0
    theirs = p * params**q + r * 6 ** (q / 2) * (ratio * params) ** q + floor
    ours = overtraining.predict(values, params=params, tokens=ratio * params)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_error_law_by_hand():
    params = {"eps": 0.9, "k": 2.0, "gamma": 0.5}
    assert error.predict(params, loss=2.0) == pytest.approx(0.9 - 2 / np.e)
    assert error.predict(params, loss=1e3) == pytest.approx(0.9)


@pytest.mark.parametrize("entry", error.published, ids=lambda entry: entry.name)
def test_published_error_laws_start_at_chance_and_fall_with_loss(entry):
    assert set(entry.values) == set(error.parameters)
    errors = error.predict(entry.values, loss=np.array([6.0, 4.0, 3.0, 2.5]))
    assert 0.7 < errors[0] < 0.86  # untrained: chance, averaged over the tasks
    assert (np.diff(errors) < 0).all()
    assert errors[-1] > 0.4
