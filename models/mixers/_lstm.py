"""LSTMs with and without a recurrent matrix.

    c_t = sigmoid(f_t + 1) c_(t-1) + sigmoid(i_t) tanh(z_t)      h_t = sigmoid(o_t) tanh(c_t)

All four of f, i, z and o are sums of W x_t and, of the true LSTM, R h_(t-1).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from models.module import Module

GATES = ("forget", "input", "cell", "output")


def _gates(module: Module, x: Array) -> list[Array]:
    """W x for each of f, i, z and o, [B, S, h, k] in float32."""
    found = (module.dense(x, name, "d->hk") for name in GATES)
    return [module.lay(y.astype(jnp.float32), "BShk") for y in found]


class QuasiLstm(Module):
    """Gates see x alone: c is a linear recurrence, computed for all positions in a tree of sums."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        f, i, z, o = _gates(self, x)
        keep, new = nn.sigmoid(f + 1), nn.sigmoid(i) * jnp.tanh(z)
        new = new.at[:, 0].add(keep[:, 0] * self.past("cells", jnp.zeros_like(new[:, 0])))

        def join(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
            return left[0] * right[0], right[0] * left[1] + right[1]

        _, c = jax.lax.associative_scan(join, (keep, new), axis=1)
        self.keep("cells", c[:, -1])
        y = (nn.sigmoid(o) * jnp.tanh(c)).astype(x.dtype)
        return self.dense(self.lay(y, "BThk"), "out", "hk->d")


class Lstm(Module):
    """Gates see x and the last h: one position after another."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        whole = jnp.stack(_gates(self, x)).transpose(2, 1, 0, 3, 4)  # [T, B, 4, h, k]
        size = whole.shape[-2] * whole.shape[-1]
        back = [self.weight(f"{name}_back", "hidden", "s->hk", s=size) for name in GATES]
        matrix = jnp.stack(back, axis=1).astype(jnp.float32)  # [s, 4, h, k]
        start = jnp.zeros_like(whole[0, :, 0])

        def step(carry: tuple[Array, Array], gates: Array) -> tuple[tuple[Array, Array], Array]:
            c, h = carry
            gates += jnp.tensordot(h.reshape(len(h), -1), matrix, 1)
            f, i, z, o = gates.swapaxes(0, 1)
            c = nn.sigmoid(f + 1) * c + nn.sigmoid(i) * jnp.tanh(z)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (c, h), h

        first = self.past("cells", start), self.past("outputs", start)
        (c, h), every = jax.lax.scan(step, first, whole)
        self.keep("cells", c)
        self.keep("outputs", h)
        y = self.lay(every.swapaxes(0, 1).astype(x.dtype), "BThk")
        return self.dense(y, "out", "hk->d")
