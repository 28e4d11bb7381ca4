"""Retention in chunks of positions, as a pure function of arrays, and the module over it.

S_t = gamma S_(t-1) + k_t v_t^T      o_t = S_t^T q_t      gamma = 1 - 2^(-5 - i) of head i
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.config import TransformerConfig
from models.mixers._attention import rotate
from models.mixers._chunks import chunks, joined, no_state
from models.module import Module, Norm
from scaling.counting.parts import Counts


def retain(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B T h k"],
    v: Float[Array, "B T h w"],
    state: Float[Array, "B h k w"],
    length: int,
) -> tuple[Float[Array, "B T h w"], Float[Array, "B h k w"]]:
    """o of every position, and the last state, in float32.

    Args:
        length: positions of a chunk, a divisor of T; 1 is the recurrence itself.
    """
    log_gamma = np.log1p(-np.exp2(-5.0 - np.arange(q.shape[2])))[:, None]
    place = np.arange(length)
    after = jnp.exp(log_gamma * (place + 1))[..., None]  # of the state, at each position
    left = jnp.exp(log_gamma * (length - 1 - place))[..., None]  # of each position, at the end
    apart = place[:, None] - place
    ratio = jnp.where(apart >= 0, jnp.exp(log_gamma[..., None] * np.maximum(apart, 0)), 0)

    def advance(state: Array, of: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        q, k, v = of
        o = after * (q @ state) + (ratio * (q @ k.swapaxes(-1, -2))) @ v
        return after[:, -1:] * state + (left * k).swapaxes(-1, -2) @ v, o

    of_chunks = chunks(q, length), chunks(k, length), chunks(v, length)
    state, o = jax.lax.scan(advance, state, of_chunks)
    return joined(o), state


class Retention(Module):
    """Multi-scale retention: rotated queries and keys, a norm of each head, a gate."""

    counts: Callable[[TransformerConfig, int], Counts]  # whose letters are its sizes

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T d"], positions: Int[Array, "B T"] | None = None
    ) -> Float[Array, "B T d"]:
        own, time = self.counts(self.spec.config, x.shape[1]).letters, self.past("time", 0)
        self.keep("time", time + x.shape[1])
        q, k = (self.dense(x, name, "d->hk", "hidden", **own) for name in ("query", "key"))
        v = self.dense(x, "value", "d->hw", "hidden", **own)
        q, k = (rotate(y, time if positions is None else positions) for y in (q, k))
        q, k, v = (self.lay(y, f"BSh{z}") for y, z in ((q, "k"), (k, "k"), (v, "w")))
        o, state = retain(q, k, v, self.past("state", no_state(k, v)), own["p"])
        self.keep("state", state)
        # q.k / sqrt(k), as the norm's epsilon expects it
        o = Norm(self.spec, "w", name="norm")((o * own["k"] ** -0.5).astype(x.dtype))
        o *= nn.silu(self.dense(x, "gate", "d->hw", "hidden", **own))
        return self.dense(self.lay(o, "BThw"), "out", "hw->d", "hidden", **own)
