"""Sequences cut into chunks of positions, for mixers that hand a state from chunk to chunk."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def chunks(x: Array, length: int) -> Array:
    """[B, T, h, ...] -> [T / length, B, h, length, ...], in float32."""
    x = x.astype(jnp.float32).reshape(len(x), -1, length, *x.shape[2:])
    return jnp.moveaxis(x, (1, 3), (0, 2))


def joined(x: Array) -> Array:
    """[n, B, h, p, ...] -> [B, n p, h, ...]: the sequences of their chunks."""
    x = jnp.moveaxis(x, (0, 2), (1, 3))
    return x.reshape(len(x), -1, *x.shape[3:])


def no_state(k: Array, v: Array) -> Array:
    """Zeros [B, h, k, w] in float32, for keys [B, T, h, k] and values [B, T, h, w].

    They are made as a product, so that they lie on the devices as k and v do.
    """
    return jnp.zeros_like(k[:, 0, ..., None] * v[:, 0, :, None], jnp.float32)
