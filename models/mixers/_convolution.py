"""A short causal convolution over positions, each channel with taps of its own."""

from __future__ import annotations

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
    return sum((every[:, c : c + x.shape[1]] * taps[c] for c in range(TAPS)), jnp.zeros_like(x))
