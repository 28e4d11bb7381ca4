"""Attention whose query heads are shared out over key heads anew at every position."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.mixers._attention import causal_scores, project, seen
from models.module import Module


def owners(norms: Float[Array, "B T g"], heads: int) -> Int[Array, "B T h"]:
    """The key head of each query head: as many as its share of the norms, in order; no gradient.

    Shares are of (n - min n) / (max n - min n) over the key heads, even where all n are equal; the
    sums of shares times h are rounded.
    """
    n = jax.lax.stop_gradient(norms)
    n -= n.min(-1, keepdims=True)
    n = jnp.where(n.max(-1, keepdims=True) > 0, n, 1.0)  # over the maximum it has these shares too
    ends = jnp.round(heads * n.cumsum(-1) / n.sum(-1, keepdims=True))
    return (jnp.arange(heads)[:, None] >= ends[..., None, :]).sum(-1)


class KeyDriven(Module):
    """softmax(scale q k^T) v, k and v of the key head that a query head has at its position."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        c, time, T = self.spec.config, self.past("time", 0), x.shape[1]
        q, k, v, scale = project(self, x, time)
        self.tap("logits", lambda: causal_scores(q, k, scale))
        k, v = self.lay(k, "BSgk"), self.lay(v, "BSgk")
        # the sum of the norms so far has the shares of their mean
        norms = jnp.sqrt(jnp.square(k.astype(jnp.float32)).sum(-1)).cumsum(1)
        norms += self.past("norms", jnp.zeros_like(norms[:, 0]))[:, None]
        self.keep("norms", norms[:, -1])
        own = jax.nn.one_hot(owners(norms, c.heads), c.kv_heads, dtype=q.dtype)  # [B, T, h, g]
        if self.generates:
            self.keep("time", time + T)
            k, v = self.history("keys", k, time), self.history("values", v, time)
        apart = self.lay(q[..., None, :] * own[..., None], "BThgk")
        scores = jnp.einsum("bthgk,bsgk->bhts", apart, k).astype(jnp.float32) * scale
        p = jax.nn.softmax(scores + seen(time, T, k.shape[1]), axis=-1).astype(v.dtype)
        y = jnp.einsum("bhts,bsgk->bthgk", p, v)
        return self.dense(self.lay((y * own[..., None]).sum(3), "BThk"), "out", "hk->d")
