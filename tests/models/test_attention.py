from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from quick import quick_jit

from models.attention import attend, rotate

B, T, H, G, K = 2, 7, 4, 2, 6


def _normal(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape, np.float32))


Q = _normal(B, T, H, K)
KEY, VALUE = _normal(2, B, T, G, K)
SCALE = 0.4
BACKWARDS = ("plain", "barrier")
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


@pytest.mark.parametrize("backward", ["plain", "barrier"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_is_its_definition(kv_heads: int, backward: str) -> None:
    k, v = _normal(2, B, T, kv_heads, K)
    y = quick_jit(partial(attend, scale=SCALE, backward=backward))(Q, k, v)
    np.testing.assert_allclose(y, _by_loops(Q, k, v), **CLOSE)


def test_grouped_queries_are_multi_head_with_repeated_keys_and_values() -> None:
    repeated = [jnp.repeat(x, H // G, axis=2) for x in (KEY, VALUE)]
    grouped = attend(Q, KEY, VALUE, SCALE, "plain")
    np.testing.assert_allclose(grouped, attend(Q, *repeated, SCALE, "plain"), **CLOSE)


@pytest.mark.parametrize("backward", ["plain", "barrier"])
def test_a_changed_future_changes_nothing_before_it(backward: str) -> None:
    now = attend(Q, KEY, VALUE, SCALE, backward)
    other = attend(Q, KEY.at[:, 4:].add(9), VALUE.at[:, 4:].add(9), SCALE, backward)
    np.testing.assert_array_equal(now[:, :4], other[:, :4])
    assert np.abs(now - other)[:, 4:].min(axis=(0, 2, 3)).max() > 0


def _value_and_gradient(backward: str, q: Array, k: Array, v: Array) -> Any:
    def loss(q: Array, k: Array, v: Array) -> Array:
        return jnp.sin(attend(q, k, v, SCALE, backward)).sum()

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(q, k, v)


def _close(plain: Any, barrier: Any) -> None:
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(barrier), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_barrier_has_the_numbers_of_plain() -> None:
    _close(*(quick_jit(partial(_value_and_gradient, b))(Q, KEY, VALUE) for b in BACKWARDS))


def test_barrier_has_the_numbers_of_plain_under_vmap() -> None:
    members = (
        jax.vmap(partial(_value_and_gradient, b), in_axes=(0, None, None)) for b in BACKWARDS
    )
    _close(*(quick_jit(member)(jnp.stack([Q, 2 * Q, -Q]), KEY, VALUE) for member in members))


def test_bfloat16_barrier_stays_near_float32() -> None:
    """Its softmax's backward pass is in bfloat16: 2^-8 a product, sums of a few of them."""
    exact = quick_jit(partial(_value_and_gradient, "plain"))(Q, KEY, VALUE)[1]
    halves = (x.astype(jnp.bfloat16) for x in (Q, KEY, VALUE))
    half = quick_jit(partial(_value_and_gradient, "barrier"))(*halves)[1]
    for a, b in zip(exact, half, strict=True):
        assert b.dtype == jnp.bfloat16
        assert float(jnp.abs(a - b).max() / jnp.abs(a).max()) < 0.05


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
