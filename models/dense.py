"""Products y = x w: a backward pass in two forms of equal numbers; ternary and sparse weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

TINY = 1e-12  # a scale of zeros


@jax.custom_vjp
def _product_barrier(x: Array, w: Array) -> Array:
    return x @ w


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ w, (x, w)


def _backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    # XLA:CPU fuses the elementwise producer of dy into both products below, once transposed, and
    # then leaves its fast matmul; the barrier makes dy once. tests/models/test_dense.py compares
    # the numbers; benchmarks/train_step.py measures the gain.
    x, w = saved
    dy = jax.lax.optimization_barrier(dy)
    dx = jnp.einsum("mo,io->mi", dy, w)
    if x.shape[1] <= dy.shape[1]:
        return dx, jnp.einsum("mi,mo->io", x, dy)
    # the same product with its longer side last, up to twice as fast; unguarded, XLA undoes it
    return dx, jax.lax.optimization_barrier(jnp.einsum("mo,mi->oi", dy, x)).T


_product_barrier.defvjp(_forward, _backward)


def _barrier(x: Array, w: Array, inputs: int) -> Array:
    fan_in = math.prod(w.shape[:inputs])
    y = _product_barrier(x.reshape(-1, fan_in), w.reshape(fan_in, -1))
    return y.reshape(*x.shape[: x.ndim - inputs], *w.shape[inputs:])


# "plain" joins no axes, so each may be split over devices.
PRODUCTS: Mapping[str, Callable[[Array, Array, int], Array]] = {
    "plain": jnp.tensordot,
    "barrier": _barrier,
}


def dense(x: Array, w: Array, letters: str, backward: str) -> Array:
    """Contract the last axes of x with the inputs of w, each copy of w with its own of x.

    Args:
        x: [*copies, ..., *inputs].
        w: [*copies, *inputs, *outputs], as `letters` says: "d->f", or "e,d->f" of copies.
        backward: a key of `PRODUCTS`.

    Returns:
        [*copies, ..., *outputs]. One matrix product for any number of letters on each side.
    """
    if "," in letters:
        matrix = letters[letters.index(",") + 1 :]
        return jax.vmap(lambda x, w: dense(x, w, matrix, backward))(x, w)
    return PRODUCTS[backward](x, w, letters.index("->"))


def ternary(w: Array, copies: int) -> Array:
    """`to_ternary`; a gradient as of w."""
    return _straight_through(w, to_ternary(w, copies))


def to_ternary(w: Array, copies: int) -> Array:
    """s round(clip(w / s, -1, 1)), s = mean |w| of each matrix.

    Ma et al. 2024, arXiv:2402.17764 (BitNet b1.58).

    Args:
        copies: leading axes of matrices with a scale each.
    """
    axes = tuple(range(copies, w.ndim))
    scale = jnp.abs(w).mean(axes, keepdims=True) + TINY
    return scale * jnp.round(jnp.clip(w / scale, -1, 1))


def int8(x: Array, inputs: int) -> Array:
    """round(x / s) s, s = max |x| / 127 over the last `inputs` axes; a gradient as of x."""
    axes = tuple(range(x.ndim - inputs, x.ndim))
    scale = jnp.abs(x).max(axes, keepdims=True) / 127 + TINY
    return _straight_through(x, scale * jnp.round(x / scale))


def _straight_through(x: Array, rounded: Array) -> Array:
    return x + jax.lax.stop_gradient(rounded - x)


def spread(values: Array, outputs: int, salt: int) -> Array:
    """The matrix [rows, outputs] whose row has these values [rows, j] in fixed random places.

    Each is at a random place of its own stretch of the row, and the row is turned by a random
    number: no two places of a row are equal, and columns have as many in the mean.
    """
    rows, j = values.shape
    stretch = outputs // j
    row, entry = np.arange(rows, dtype=np.uint32)[:, None], np.arange(j, dtype=np.uint32)
    seed = _mixed(row + np.uint32(salt & 0xFFFFFFFF))
    place = entry * np.uint32(stretch) + _mixed(seed + entry + np.uint32(1)) % np.uint32(stretch)
    column = (place + seed % np.uint32(outputs)) % np.uint32(outputs)
    zeros = jnp.zeros((rows, outputs), values.dtype)
    return zeros.at[row, column].set(values, unique_indices=True)


def _mixed(x: np.ndarray) -> np.ndarray:
    """Each bit flips half of the others (the finalizer of MurmurHash3)."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
