from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from quick import quick_jit

from models.dense import dense

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
    _close(*(quick_jit(partial(_value_and_gradient, b, letters))(x, w) for b in BACKWARDS))


@pytest.mark.parametrize("letters", ["d->f", "f->d"])
def test_barrier_has_the_numbers_of_plain_under_vmap(letters: str) -> None:
    x, w = _case(letters)
    w = jnp.stack([w, 2 * w, -w])
    members = (
        jax.vmap(partial(_value_and_gradient, b, letters), in_axes=(None, 0)) for b in BACKWARDS
    )
    _close(*(quick_jit(member)(x, w) for member in members))


def test_barrier_is_in_the_compiled_backward_pass_and_not_in_the_plain_one() -> None:
    x, w = _case("d->f")

    def program(backward: str) -> str:
        return (
            jax.jit(lambda x, w: _value_and_gradient(backward, "d->f", x, w)).lower(x, w).as_text()
        )

    assert "optimization_barrier" in program("barrier")
    assert "optimization_barrier" not in program("plain")
