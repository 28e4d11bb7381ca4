from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from scaling.common.errors import UserError
from scaling.counting.traced_flops import matmul_flops

A, B = jnp.ones((3, 4)), jnp.ones((4, 5))
PRODUCT = 2 * 3 * 4 * 5


def _twice(x: Array, steps: Any) -> Array:
    return jax.lax.fori_loop(0, steps, lambda i, y: jnp.tanh(y @ jnp.ones((4, 4))), x)


@jax.custom_vjp
def _tripled(x: Array) -> Array:
    return x @ B


_tripled.defvjp(lambda x: (x @ B, None), lambda _, dy: (dy @ B.T + (dy @ B.T) @ B @ B.T,))


def test_a_product_is_two_flops_per_multiply_add() -> None:
    assert matmul_flops(jnp.matmul, A, B) == PRODUCT


def test_batched_and_contracted_axes_are_told_apart() -> None:
    x, y = jnp.ones((7, 3, 4, 2)), jnp.ones((7, 4, 2, 5))
    assert matmul_flops(lambda x, y: jnp.einsum("bikl,bklj->bij", x, y), x, y) == 2 * 7 * 3 * 8 * 5


def test_elementwise_work_is_not_counted() -> None:
    assert matmul_flops(lambda x: jnp.exp(x).sum(), A) == 0


def test_a_scan_counts_once_per_trip() -> None:
    def scanned(x: Array) -> Array:
        return jax.lax.scan(lambda c, _: (c, x @ B), 0.0, length=11)[1]

    assert matmul_flops(scanned, A) == 11 * PRODUCT


def test_jit_remat_and_vmap_are_looked_into() -> None:
    wrapped = jax.vmap(jax.jit(jax.checkpoint(lambda x: x @ B)))
    assert matmul_flops(wrapped, jnp.ones((6, 3, 4))) == 6 * PRODUCT


def test_a_custom_backward_pass_counts_what_it_does() -> None:
    # forward 1 product, backward 4 of the same size: dy B^T twice, (.) B and (.) B^T
    assert matmul_flops(jax.grad(lambda x: _tripled(x).sum()), A) == 5 * PRODUCT


def test_a_branch_counts_as_its_most_expensive_side() -> None:
    def branch(x: Array) -> Array:
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ B, lambda: jnp.zeros((3, 5)))

    assert matmul_flops(branch, A) == PRODUCT


def test_a_loop_of_known_length_is_multiplied_out() -> None:
    assert matmul_flops(lambda x: _twice(x, 2), A) == 2 * 2 * 3 * 4 * 4


def test_a_loop_of_unknown_length_is_refused() -> None:
    with pytest.raises(UserError, match="count one trip"):
        matmul_flops(_twice, A, jnp.int32(2))


def test_a_condition_with_a_product_is_refused() -> None:
    def searched(x: Array) -> Array:
        return jax.lax.while_loop(lambda y: (y @ B).sum() < 9, lambda y: y + 1, x)

    with pytest.raises(UserError, match="count one trip"):
        matmul_flops(searched, A)


def test_a_loop_of_unknown_length_without_products_is_free() -> None:
    assert matmul_flops(lambda n: jax.lax.fori_loop(0, n, lambda i, y: y + i, 0), jnp.int32(9)) == 0
