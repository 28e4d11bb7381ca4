from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from models.mixers import _attention
from models.mixers._attention import BACKENDS, attend, rotate
from models.mixers._splash import splash

B, T, H, G, K = 2, 7, 4, 2, 6


def _normal(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape, np.float32))


Q = _normal(B, T, H, K)
KEY, VALUE = _normal(2, B, T, G, K)
SCALE = 0.4
ON_CPU = ("xla", "barrier")
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def _by_loops(q: Array, k: Array, v: Array) -> np.ndarray:
    """Causal attention as its definition reads, one query at a time, in float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros(q.shape)
    for b, t, h in np.ndindex(*q.shape[:3]):
        g = h // (q.shape[2] // k.shape[2])
        weight = np.exp(SCALE * k[b, : t + 1, g] @ q[b, t, h])
        out[b, t, h] = weight @ v[b, : t + 1, g] / weight.sum()
    return out


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_is_its_definition(kv_heads: int, backend: str) -> None:
    k, v = _normal(2, B, T, kv_heads, K)
    y = jax.jit(partial(attend, scale=SCALE, backend=backend))(Q, k, v)
    np.testing.assert_allclose(y, _by_loops(Q, k, v), **CLOSE)


def test_grouped_queries_are_multi_head_with_repeated_keys_and_values() -> None:
    repeated = [jnp.repeat(x, H // G, axis=2) for x in (KEY, VALUE)]
    grouped = attend(Q, KEY, VALUE, SCALE, "xla")
    np.testing.assert_allclose(grouped, attend(Q, *repeated, SCALE, "xla"), **CLOSE)


@pytest.mark.parametrize("backend", ON_CPU)
def test_a_changed_future_changes_nothing_before_it(backend: str) -> None:
    now = attend(Q, KEY, VALUE, SCALE, backend)
    other = attend(Q, KEY.at[:, 4:].add(9), VALUE.at[:, 4:].add(9), SCALE, backend)
    np.testing.assert_array_equal(now[:, :4], other[:, :4])
    assert np.abs(now - other)[:, 4:].min(axis=(0, 2, 3)).max() > 0


def _value_and_gradient(backend: str, q: Array, k: Array, v: Array) -> Any:
    def loss(q: Array, k: Array, v: Array) -> Array:
        return jnp.sin(attend(q, k, v, SCALE, backend)).sum()

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(q, k, v)


def _close(left: Any, right: Any) -> None:
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_barrier_has_the_numbers_of_xla() -> None:
    _close(*(jax.jit(partial(_value_and_gradient, b))(Q, KEY, VALUE) for b in ON_CPU))


def test_barrier_has_the_numbers_of_xla_under_vmap() -> None:
    members = (jax.vmap(partial(_value_and_gradient, b), in_axes=(0, None, None)) for b in ON_CPU)
    _close(*(jax.jit(member)(jnp.stack([Q, 2 * Q, -Q]), KEY, VALUE) for member in members))


def test_bfloat16_barrier_stays_near_float32() -> None:
    """Its softmax's backward pass is in bfloat16: 2^-8 a product, sums of a few of them."""
    exact = jax.jit(partial(_value_and_gradient, "xla"))(Q, KEY, VALUE)[1]
    halves = (x.astype(jnp.bfloat16) for x in (Q, KEY, VALUE))
    half = jax.jit(partial(_value_and_gradient, "barrier"))(*halves)[1]
    for a, b in zip(exact, half, strict=True):
        assert b.dtype == jnp.bfloat16
        assert float(jnp.abs(a - b).max() / jnp.abs(a).max()) < 0.05


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_splash_has_the_numbers_of_xla(kv_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several tiles; the kernel's body as ordinary operations."""
    monkeypatch.setattr(
        _attention, "BACKENDS", BACKENDS | {"splash": partial(splash, interpret=True)}
    )
    q, (k, v) = _normal(2, 256, 2, 8), _normal(2, 2, 256, kv_heads, 8)
    _close(*(jax.jit(partial(_value_and_gradient, b))(q, k, v) for b in ("xla", "splash")))


@pytest.mark.gpu
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_cudnn_is_as_near_to_float32_as_xla_is(kv_heads: int) -> None:
    """bfloat16 has 2^-8, and a gradient is a sum of some hundred products, of either sign."""
    q, (k, v) = _normal(2, 256, 4, 64), _normal(2, 2, 256, kv_heads, 64)
    exact = jax.jit(partial(_value_and_gradient, "xla"))(q, k, v)[1]
    halves = [x.astype(jnp.bfloat16) for x in (q, k, v)]
    for backend in ("xla", "cudnn"):
        found = jax.jit(partial(_value_and_gradient, backend))(*halves)[1]
        for a, b in zip(exact, found, strict=True):
            assert float(jnp.abs(a - b).max() / jnp.abs(a).max()) < 0.03, backend


def test_rotations_keep_lengths_and_leave_the_first_position() -> None:
    turned = rotate(Q)
    np.testing.assert_allclose(
        jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(Q, axis=-1), **CLOSE
    )
    np.testing.assert_array_equal(turned[:, 0], Q[:, 0])


def test_rotated_products_depend_on_relative_positions_alone() -> None:
    q, k = (jnp.broadcast_to(x[:1, :1, :1], (1, T, 1, K)) for x in (Q, KEY))
    scores = np.asarray(jnp.einsum("bthk,bshk->ts", rotate(q), rotate(k)))
    for shift in range(-T + 1, T):
        np.testing.assert_allclose(np.ptp(np.diagonal(scores, shift)), 0, atol=1e-5)
    assert np.ptp(scores[0]) > 0.1  # and they do depend on them


def test_the_first_pair_turns_by_one_radian_a_position() -> None:
    x = jnp.zeros((1, 2, 1, K)).at[..., 0].set(1)
    expected = [np.cos(1), 0, 0, np.sin(1), 0, 0]
    np.testing.assert_allclose(rotate(x)[0, 1, 0], expected, atol=1e-6)
