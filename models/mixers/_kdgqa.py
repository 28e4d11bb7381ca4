"""Attention whose query heads go to key heads by the norms of the keys so far.

With n_g the norm of all keys of key head g up to a query, the query heads of g are

    round(h m_g / sum of m)    with m_g = (n_g - min n) / (max n - min n)

and the largest or the least of them give or take one until there are h. Query heads go to key heads
in order. Published for images, with norms over all positions and the batch; here over the tokens so
far of a sequence, so that nothing leaks. Equal norms have equal shares.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.mixers._attention import attended, project
from models.module import Module


def allocated(norms: Float[Array, "*n g"], heads: int) -> Int[Array, "*n g"]:
    """Query heads of each key head; their sum is `heads`."""
    low, high = norms.min(-1, keepdims=True), norms.max(-1, keepdims=True)
    share = jnp.where(high > low, (norms - low) / jnp.where(high > low, high - low, 1), 1)
    found = jnp.round(heads * share / share.sum(-1, keepdims=True)).astype(jnp.int32)
    count = norms.shape[-1]
    for _ in range(count // 2):  # g roundings are off by g / 2 at most
        more = heads - found.sum(-1, keepdims=True)
        at = jnp.where(more[..., 0] > 0, found.argmin(-1), found.argmax(-1))
        found += jnp.sign(more) * jax.nn.one_hot(at, count, dtype=jnp.int32)
    return found


def key_heads(queries: Int[Array, "*n g"], heads: int) -> Int[Array, "*n h"]:
    """The key head of each query head, in order, from the number of each one's."""
    ends = queries.cumsum(-1)[..., None, :]
    found: Array = (ends <= jnp.arange(heads)[:, None]).sum(-1)
    return found


class Kdgqa(Module):
    """Key heads side by side are one head; a query is zero outside of its own."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        time, (B, T, _) = self.past("time", 0), x.shape
        q, k, v, scale = project(self, x, time)
        h, g = q.shape[2], k.shape[2]
        squares = jnp.square(k.astype(jnp.float32)).sum(-1)
        squares = self.past("squares", jnp.zeros((B, g)))[:, None] + squares.cumsum(1)
        self.keep("squares", squares[:, -1])
        norms = jnp.sqrt(jax.lax.stop_gradient(squares))
        own = jax.nn.one_hot(key_heads(allocated(norms, h), h), g, dtype=q.dtype)[..., None]
        joined = (q[..., None, :] * own).reshape(B, T, h, -1)
        k, v = (each.reshape(B, T, 1, -1) for each in (k, v))
        y = attended(self, joined, k, v, scale, time).reshape(B, T, h, g, -1)
        return self.dense((y * own).sum(-2), "out", "hk->d")
