"""Retention in chunks is its definition, position by position."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.mixers._retention import retain

B, T, H, K, W = 2, 8, 3, 4, 6
RNG = np.random.default_rng(0)
Q, KEY = RNG.standard_normal((2, B, T, H, K)).astype(np.float32)
VALUE = RNG.standard_normal((B, T, H, W)).astype(np.float32)
STATE = RNG.standard_normal((B, H, K, W)).astype(np.float32)


@pytest.mark.parametrize("length", [1, 4])
def test_chunks_are_the_definition(length: int) -> None:
    expected, last = np.zeros((B, T, H, W)), STATE.astype(np.float64)
    for b, h in np.ndindex(B, H):
        for t in range(T):
            last[b, h] *= 1 - 2.0 ** (-5 - h)
            last[b, h] += np.outer(KEY[b, t, h], VALUE[b, t, h])
            expected[b, t, h] = last[b, h].T @ Q[b, t, h]
    run = jax.jit(partial(retain, length=length))
    found, state = run(*map(jnp.asarray, (Q, KEY, VALUE, STATE)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(state, last, rtol=1e-5, atol=1e-5)
