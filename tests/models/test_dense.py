from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from models.config import TransformerConfig
from models.dense import dense, int8, spread, ternary
from models.ffn._mlp import Mlp
from models.module import Spec

BACKWARDS = ("plain", "barrier")
# Either side of the backward pass: fan_in above, equal to and below fan_out
SHAPES = {
    "d->hk": ((2, 5, 12), (12, 2, 3)),
    "d->f": ((2, 5, 12), (12, 40)),
    "hk->d": ((2, 5, 4, 3), (4, 3, 12)),
    "f->d": ((2, 5, 40), (40, 12)),
}


def _case(letters: str) -> tuple[Array, Array]:
    x, w = SHAPES[letters]
    normal = np.random.default_rng(0).standard_normal
    return jnp.asarray(normal(x, np.float32)), jnp.asarray(normal(w, np.float32))


@pytest.mark.parametrize("letters", SHAPES)
def test_letters_say_what_is_contracted(letters: str) -> None:
    x, w = _case(letters)
    inputs, outputs = letters.split("->")
    expected = np.einsum(f"bt{inputs},{inputs}{outputs}->bt{outputs}", x, w)
    np.testing.assert_allclose(dense(x, w, letters, "plain"), expected, rtol=1e-5, atol=1e-5)


def _value_and_gradient(backward: str, letters: str, x: Array, w: Array) -> Any:
    def loss(x: Array, w: Array) -> Array:
        return jnp.sin(dense(jnp.tanh(x), w, letters, backward)).sum()

    return jax.value_and_grad(loss, argnums=(0, 1))(x, w)


def _close(plain: Any, barrier: Any) -> None:
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(barrier), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("letters", SHAPES)
def test_barrier_has_the_numbers_of_plain(letters: str) -> None:
    x, w = _case(letters)
    _close(*(jax.jit(partial(_value_and_gradient, b, letters))(x, w) for b in BACKWARDS))


@pytest.mark.parametrize("letters", ["d->f", "f->d"])
def test_barrier_has_the_numbers_of_plain_under_vmap(letters: str) -> None:
    x, w = _case(letters)
    w = jnp.stack([w, 2 * w, -w])
    members = (
        jax.vmap(partial(_value_and_gradient, b, letters), in_axes=(None, 0)) for b in BACKWARDS
    )
    _close(*(jax.jit(member)(x, w) for member in members))


def test_barrier_is_in_the_compiled_backward_pass_and_not_in_the_plain_one() -> None:
    x, w = _case("d->f")

    def program(backward: str) -> str:
        return (
            jax.jit(lambda x, w: _value_and_gradient(backward, "d->f", x, w)).lower(x, w).as_text()
        )

    assert "optimization_barrier" in program("barrier")
    assert "optimization_barrier" not in program("plain")


def _ternary(w: np.ndarray) -> np.ndarray:
    scale = np.abs(w).mean()
    return scale * np.round(np.clip(w / scale, -1, 1))


def _int8(x: np.ndarray) -> np.ndarray:
    scale = np.abs(x).max(-1, keepdims=True) / 127
    return scale * np.round(x / scale)


def test_ternary_weights_and_int8_inputs_are_rounded_and_their_gradients_are_not() -> None:
    w = jax.random.normal(jax.random.key(0), (2, 6, 5)) * jnp.array([1.0, 3.0])[:, None, None]
    x = jax.random.normal(jax.random.key(1), (3, 4, 6))
    for function, value, formula in (
        (ternary, w, lambda w: np.stack([_ternary(one) for one in w])),
        (int8, x, _int8),
    ):
        np.testing.assert_allclose(
            jax.jit(lambda v, f=function: f(v, 1))(value),
            formula(np.asarray(value)),
            rtol=1e-5,
            atol=1e-6,
        )
        slope = jax.jit(jax.grad(lambda v, f=function: (2 * f(v, 1)).sum()))(value)
        np.testing.assert_array_equal(slope, 2)
    assert all(len(np.unique(np.round(one, 4))) == 3 for one in np.asarray(ternary(w, 1)))


def test_a_quantized_model_multiplies_rounded_numbers_alone() -> None:
    sizes = {"width": 8, "heads": 2, "kv_heads": 2, "head_dim": 4, "ffn": 12}
    spec = Spec(TransformerConfig(quantized="ternary", mlp="relu", **sizes))
    x = jax.random.normal(jax.random.key(1), (1, 3, 8))
    into, back = (jax.random.normal(jax.random.key(2), (8, 12)) for _ in range(2))
    params = {"in": into, "out": back.T}
    found = jax.jit(lambda: Mlp(spec).apply({"params": params}, x))()
    inner = np.maximum(_int8(np.asarray(x)) @ _ternary(np.asarray(into)), 0)
    expected = _int8(inner) @ _ternary(np.asarray(back.T))
    np.testing.assert_allclose(found, expected, atol=0.02)  # one step of a number at a tie: 0.0133
    exact = np.maximum(np.asarray(x @ into), 0) @ np.asarray(back.T)
    assert np.abs(found - exact).max() > 0.5


def test_a_sparse_matrix_has_its_entries_in_fixed_places() -> None:
    """Of 300 rows of 40 columns 3 entries each, in all columns; the gradient is theirs."""
    values = 1.0 + jnp.arange(900.0).reshape(300, 3)
    matrix, pull = jax.vjp(lambda values: spread(values, 40, salt=7), values)
    np.testing.assert_array_equal((matrix > 0).sum(1), 3)
    np.testing.assert_array_equal(np.sort(matrix, axis=1)[:, -3:], np.sort(values, axis=1))
    load = np.asarray((matrix > 0).sum(0))
    assert 8 < load.min() < load.max() < 40, "22.5 in the mean, with a deviation of 4.6"
    np.testing.assert_array_equal(pull(matrix)[0], values)
    assert not np.array_equal(matrix > 0, spread(values, 40, salt=8) > 0)


def test_a_matrix_of_low_rank_and_sparse_is_the_sum_of_both() -> None:
    sizes: dict[str, Any] = {"width": 8, "heads": 2, "kv_heads": 2, "head_dim": 4, "ffn": 12}
    sparse = TransformerConfig(weights="low_rank_sparse", weights_rank=2, mlp="relu", **sizes)
    spec = Spec(replace(sparse, weights_density=0.3))
    x, keys = jax.random.normal(jax.random.key(1), (1, 3, 8)), jax.random.split(jax.random.key(2))
    params: dict[str, Array] = {}
    y = np.asarray(x)
    for name, rows, columns, entries in (("in", 8, 12, 4), ("out", 12, 8, 2)):
        shapes = {"down": (rows, 2), "up": (2, columns), "sparse": (rows, entries)}
        own = {end: jax.random.normal(keys[len(params) % 2], shapes[end]) for end in shapes}
        params |= {f"{name}_{end}": value for end, value in own.items()}
        s = spread(own["sparse"], columns, zlib.crc32(f"mlp/{name}".encode()))
        y = y @ np.asarray(own["down"] @ own["up"] / 4 + s)
        y = np.maximum(y, 0) if name == "in" else y
    mlp = Mlp(spec, name="mlp")
    found = jax.jit(lambda: mlp.apply({"params": params}, x))()
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-4)
