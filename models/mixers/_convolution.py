"""A short causal convolution over positions, each channel with taps of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from models.module import Module

TAPS = 4


def convolve(
    module: Module, x: Float[Array, "B T h k"], name: str, letters: str = "hk"
) -> Float[Array, "B T h k"]:
    """y_t = sum over the last four positions of w_c x_(t - 3 + c), of each channel.

    Its products are elementwise: no part counts their FLOPs.

    Args:
        name: of the weight, and of the positions that a sequence keeps when it is generated.
        letters: those of a channel.
    """
    sizes = dict(zip(letters, x.shape[2:], strict=True))
    taps = module.weight(name, "taps", f"c->{letters}", c=TAPS, **sizes)
    past = module.past(name, jnp.zeros((len(x), TAPS, *x.shape[2:]), x.dtype))
    every = jnp.concatenate([past[:, 1:], x], axis=1)
    module.keep(name, every[:, -TAPS:])
    return _weighed(every, taps)


@jax.custom_vjp
def _weighed(x: Array, taps: Array) -> Array:
    """y_t = sum over c of w_c x_(t + c), of all t that have so many positions after them."""
    length = x.shape[1] - len(taps) + 1
    parts = (x[:, c : c + length] * w for c, w in enumerate(taps))
    return sum(parts, jnp.zeros_like(x[:, :length]))


def _forward(x: Array, taps: Array) -> tuple[Array, tuple[Array, Array]]:
    return _weighed(x, taps), (x, taps)


def _backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    # by its own derivative XLA:CPU walks over all positions once for each channel: 4 times slower
    x, taps = saved
    dy = jax.lax.optimization_barrier(dy)
    around = jnp.pad(dy, ((0, 0), (len(taps) - 1,) * 2, *((0, 0),) * (dy.ndim - 2)))
    sums = [(x[:, c : c + dy.shape[1]] * dy).sum((0, 1)) for c in range(len(taps))]
    return _weighed(around, taps[::-1]), jnp.stack(sums)


_weighed.defvjp(_forward, _backward)
