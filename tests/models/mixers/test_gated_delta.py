"""The gated delta rule in chunks is its recurrence, and its definition position by position."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from models.mixers._convolution import _weighed
from models.mixers._gated_delta import decay_start, gated_delta_rule, unit, unit_lower_inverse

B, T, H, K, W = 2, 16, 2, 4, 6


def _normal(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape, np.float32))


KEYS = unit(_normal(B, T, H, K) + 1)  # alike, so that much is corrected
ARGUMENTS = (
    unit(_normal(B, T, H, K)),
    KEYS,
    _normal(B, T, H, W),
    -jnp.exp(_normal(B, T, H) - 2),
    2 * jax.nn.sigmoid(_normal(B, T, H) + 1),  # eigenvalues below zero too
    _normal(B, H, K, W),
)


def _by_position(*arguments: Array) -> tuple[np.ndarray, np.ndarray]:
    """S <- a (I - beta k k^T) S + beta k v^T, o = S^T q, one position at a time in float64."""
    q, k, v, log_decay, beta, state = (np.asarray(x, np.float64) for x in arguments)
    out, last = np.zeros(v.shape), np.zeros(state.shape)
    for b, h in np.ndindex(B, H):
        s = state[b, h]
        for t in range(T):
            key = k[b, t, h][:, None]
            s = np.exp(log_decay[b, t, h]) * (s - beta[b, t, h] * key @ (key.T @ s))
            s = s + beta[b, t, h] * key @ v[b, t, h][None]
            out[b, t, h] = s.T @ q[b, t, h]
        last[b, h] = s
    return out, last


def test_chunks_and_recurrence_are_the_definition_and_have_its_gradients() -> None:
    expected = _by_position(*ARGUMENTS)

    def loss(length: int, *arguments: Array) -> Any:
        o, state = gated_delta_rule(*arguments, length=length)
        return jnp.sin(o).sum() + jnp.cos(state).sum(), (o, state)

    slopes = []
    for length in (1, 8):
        run = jax.value_and_grad(partial(loss, length), argnums=range(6), has_aux=True)
        (_, found), slope = jax.jit(run)(*ARGUMENTS)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        slopes.append(slope)
    for other in slopes[1:]:
        for ours, theirs in zip(other, slopes[0], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(np.abs(theirs).max()))


def test_the_inverse_is_exact_where_powers_are_large() -> None:
    """All keys the same: the inverse has two diagonals, a power of A has 1e8."""
    found = jax.jit(unit_lower_inverse)(jnp.tril(jnp.ones((32, 32)), -1))
    np.testing.assert_allclose(found, np.eye(32) - np.eye(32, k=-1), atol=1e-5)


def test_heads_forget_at_different_speeds_from_the_start() -> None:
    """Half-lives of a token in the range of the published draws."""
    log_a, bias = decay_start(8)
    step = np.logaddexp(0, bias)
    np.testing.assert_allclose(
        np.sort(step), np.exp(np.linspace(*np.log(step[[step.argmin(), step.argmax()]]), 8))
    )
    assert 1e-3 < step.min() < step.max() < 0.1
    assert len(np.unique(np.exp(log_a) * step)) == 8


def test_a_short_convolution_has_the_derivative_of_its_sum() -> None:
    x, taps = _normal(B, T + 3, H, K), _normal(4, H, K)

    def plain(x: Array, taps: Array) -> Array:
        return sum((x[:, c : c + T] * taps[c] for c in range(4)), jnp.zeros_like(x[:, :T]))

    results = []
    for function in (_weighed, plain):
        back = jax.grad(lambda x, w, f=function: jnp.sin(f(x, w)).sum(), argnums=(0, 1))
        results.append((function(x, taps), *jax.jit(back)(x, taps)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
