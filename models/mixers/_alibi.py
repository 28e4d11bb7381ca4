"""Attention with linear biases."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.mixers._attention import alike, attend_with, project, seen
from models.module import Module


def slopes(heads: int) -> np.ndarray:
    """2^(-8 i / h) of head i, from 1 to h."""
    return np.exp2(-8 * np.arange(1, heads + 1) / heads)


class Alibi(Module):
    """softmax(scale q k^T - slope (t - s)) v; rotary positions do not act here."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T d"], documents: Int[Array, "B T"] | None = None
    ) -> Float[Array, "B T d"]:
        time, T = self.past("time", 0), x.shape[1]
        q, k, v, scale = project(self, x, time, rotated=False)
        of_keys = documents
        if self.generates:
            self.keep("time", time + T)
            k, v = self.history("keys", k, time), self.history("values", v, time)
            of_keys = None if documents is None else self.history("documents", documents, time)
        else:
            k, v = self.lay(k, "BSgk"), self.lay(v, "BSgk")
        # without the term of the query's position, which no softmax sees
        ahead = jnp.asarray(slopes(q.shape[2]), jnp.float32)[:, None, None] * jnp.arange(k.shape[1])
        bias = seen(time, T, k.shape[1]) + ahead
        y = attend_with(q, k, v, scale, bias, alike(documents, of_keys))
        return self.dense(y, "out", "hk->d")
