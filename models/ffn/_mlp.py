"""The feed-forward layer, one or a copy for each expert."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from models.module import Module

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
    "swiglu": jax.nn.silu,  # of the gate
}


class Mlp(Module):
    """act(x W_in) W_out, or (act(x W_gate) * x W_in) W_out when gated."""

    copies: str = ""  # "e,": one for each expert, x [e, B, C, d]
    wide: int = 1  # times model.ffn

    @nn.compact
    def __call__(self, x: Float[Array, "*e B T d"]) -> Float[Array, "*e B T d"]:
        act = ACTIVATIONS[self.spec.config.mlp]
        into, back = f"{self.copies}d->f", f"{self.copies}f->d"
        f = self.wide * self.spec.config.ffn
        y = self.dense(x, "in", into, f=f)
        gated = self.spec.config.mlp == "swiglu"
        y = act(self.dense(x, "gate", into, f=f)) * y if gated else act(y)
        return self.dense(y, "out", back, f=f)
