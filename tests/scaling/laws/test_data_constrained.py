"""The data-constrained law: its limits, and what is inside it of Chinchilla's."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.laws.chinchilla import allocation, chinchilla
from scaling.laws.data_constrained import BASE, data_constrained, effective_epochs, fed_params

KNOWN = dict(data_constrained.constants("muennighoff2023").values)
UNEQUAL = {**KNOWN, "alpha": 0.31, "beta": 0.36}


def test_by_hand():
    """alpha = beta = 1 and A = B: N_U = U. N = 3 U, two epochs, both R* = 1."""
    params = {**dict.fromkeys(("A", "B", "alpha", "beta", "R_D_star", "R_N_star"), 1.0), "E": 2.0}
    loss = data_constrained.predict(params, params=30.0, tokens=20.0, unique_tokens=10.0)
    size, data = 10 * (2 - np.exp(-2)), 10 * (2 - np.exp(-1))
    assert loss == pytest.approx(2 + 1 / size + 1 / data)


@pytest.mark.parametrize("params", [KNOWN, UNEQUAL])
def test_the_fed_size_is_the_compute_optimal_one(params: dict[str, float]):
    size, tokens = allocation(params, 3e21)
    assert fed_params(np, params, tokens) == pytest.approx(size)


@pytest.mark.parametrize("params", [KNOWN, UNEQUAL])
def test_one_epoch_of_a_size_that_the_data_feed_is_chinchilla(params: dict[str, float]):
    tokens = np.geomspace(1e8, 1e12, 5)
    size = fed_params(np, params, tokens) * np.array([[0.01], [0.5], [1.0]])
    base = {name: params[name] for name in BASE}
    plain = chinchilla.predict(base, params=size, tokens=tokens)
    for unique in (tokens, 7 * tokens):  # tokens that are not used do not count
        loss = data_constrained.predict(params, params=size, tokens=tokens, unique_tokens=unique)
        np.testing.assert_allclose(loss, plain, rtol=1e-13)


def test_without_decay_it_is_chinchilla_everywhere():
    params = {**KNOWN, "R_D_star": 1e12, "R_N_star": 1e12}
    loss = data_constrained.predict(params, params=1e9, tokens=1e11, unique_tokens=1e8)
    base = {name: params[name] for name in BASE}
    assert loss == pytest.approx(chinchilla.predict(base, params=1e9, tokens=1e11), rel=1e-9)


def test_repeats_are_worth_ever_less():
    epochs = np.array([0.5, 1, 2, 4, 40, 1e6])
    worth = effective_epochs(epochs, KNOWN["R_D_star"])
    assert worth[:2] == pytest.approx([0.5, 1])  # fresh tokens are worth themselves
    assert worth[3] == pytest.approx(3.73, abs=0.005)  # four epochs nearly free
    assert worth[-1] == pytest.approx(1 + KNOWN["R_D_star"])
    gains = np.diff(worth[1:]) / np.diff(epochs[1:])
    assert (np.diff(gains) < 0).all()


def test_loss_falls_with_unique_tokens_and_never_rises_with_repeats():
    unique, epochs = np.geomspace(1e8, 1e11, 9)[:, None], np.array([1, 2, 8, 64, 512])
    loss = data_constrained.predict(KNOWN, params=1e9, tokens=unique * epochs, unique_tokens=unique)
    assert (np.diff(loss, axis=0) < 0).all()
    assert (np.diff(loss, axis=1) <= 0).all()


def test_unique_tokens_feed_a_twentieth_of_their_number():
    """U_N about 0.051 U_D, as the paper says."""
    assert fed_params(np, KNOWN, 1e9) / 1e9 == pytest.approx(0.051, abs=5e-4)
