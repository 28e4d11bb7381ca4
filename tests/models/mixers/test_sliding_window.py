"""Windows in blocks, and distances, are attention with their masks and biases."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from models.mixers._alibi import slopes
from models.mixers._attention import attend_with, seen
from models.mixers._sliding_window import attend_in_blocks, within

B, T, H, G, K = 2, 12, 4, 2, 6


def _normal(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape, np.float32))


Q, (KEY, VALUE) = _normal(B, T, H, K), _normal(2, B, T, G, K)
SCALE = 0.4


def _by_loops(window: int, slope: np.ndarray) -> np.ndarray:
    """One query at a time, in float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (Q, KEY, VALUE))
    out = np.zeros(q.shape)
    for b, t, h in np.ndindex(B, T, H):
        s = np.arange(max(0, t + 1 - window), t + 1)
        scores = SCALE * k[b, s, h // (H // G)] @ q[b, t, h] - slope[h] * (t - s)
        weight = np.exp(scores)
        out[b, t, h] = weight @ v[b, s, h // (H // G)] / weight.sum()
    return out


@pytest.mark.parametrize("window", [1, 3, 4])
def test_windows_in_blocks_are_the_last_positions(window: int) -> None:
    found = jax.jit(partial(attend_in_blocks, scale=SCALE, window=window))(Q, KEY, VALUE)
    np.testing.assert_allclose(found, _by_loops(window, np.zeros(H)), rtol=1e-5, atol=1e-5)


def test_a_window_that_does_not_divide_the_context_is_a_mask() -> None:
    bias = within(0, T, jnp.arange(T), 5)
    found = attend_with(Q, KEY, VALUE, SCALE, bias)
    np.testing.assert_allclose(found, _by_loops(5, np.zeros(H)), rtol=1e-5, atol=1e-5)


def test_scores_fall_with_the_distance_at_a_slope_of_each_head() -> None:
    """2^-2, 2^-4, 2^-6 and 2^-8 of four heads."""
    np.testing.assert_array_equal(slopes(4), [1 / 4, 1 / 16, 1 / 64, 1 / 256])
    ahead = slopes(H)[:, None, None] * np.arange(T)
    found = attend_with(Q, KEY, VALUE, SCALE, seen(0, T, T) + ahead)
    np.testing.assert_allclose(found, _by_loops(T, slopes(H)), rtol=1e-5, atol=1e-5)
