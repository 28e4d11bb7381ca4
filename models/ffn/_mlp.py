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

    @nn.compact
    def __call__(self, x: Float[Array, "*e B T d"]) -> Float[Array, "*e B T d"]:
        act = ACTIVATIONS[self.spec.config.mlp]
        into, back = f"{self.copies}d->f", f"{self.copies}f->d"
        y = self.dense(x, "in", into)
        y = act(self.dense(x, "gate", into)) * y if self.spec.config.mlp == "swiglu" else act(y)
        return self.dense(y, "out", back)
