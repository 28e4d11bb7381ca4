"""Attention in windows, as a pure function of arrays, and the module over it.

Positions lie in blocks of one window. A query sees keys of its own block and of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models.mixers._attention import NEVER, alike, attend_with, project
from models.module import Module


def within(
    first: int | Array, queries: int, keys: Int[Array, " S"], window: int
) -> Float[Array, "1 T S"]:
    """The bias that leaves a query the last `window` positions up to its own.

    Args:
        first: the position of the first query.
        keys: the position of each key; one before the sequence is negative.
    """
    t = first + jnp.arange(queries)[:, None]
    return jnp.where((keys >= 0) & (keys <= t) & (keys > t - window), 0.0, NEVER)[None]


def attend_in_blocks(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B T g k"],
    v: Float[Array, "B T g k"],
    scale: float | Array,
    window: int,
    documents: Int[Array, "B T"] | None = None,
) -> Float[Array, "B T h k"]:
    """softmax(scale q k^T) v over the last `window` positions, a divisor of T.

    Args:
        documents: of each token; None where a window is one text.
    """

    def blocks(x: Array) -> Array:
        return x.reshape(len(x), -1, window, *x.shape[2:])

    def and_before(x: Array) -> Array:  # [B, n, 2 w, g, k], or [B, n, 2 w]
        x = blocks(x)
        before = jnp.pad(x, ((0, 0), (1, 0), *((0, 0),) * (x.ndim - 2)))[:, :-1]
        return jnp.concatenate([before, x], axis=2)

    def attend(first: Array, q: Array, k: Array, v: Array, *numbers: Array) -> Array:
        bias = within(first, window, first - window + jnp.arange(2 * window), window)
        return attend_with(q, k, v, scale, bias, alike(*numbers or (None, None)))

    firsts = jnp.arange(0, q.shape[1], window)
    arrays = [blocks(q), and_before(k), and_before(v)]
    arrays += [] if documents is None else [blocks(documents), and_before(documents)]
    y = jax.vmap(attend, (0, *[1] * len(arrays)), 1)(firsts, *arrays)
    return y.reshape(q.shape)


class SlidingWindow(Module):
    """Multi-head or grouped-query self-attention to the last positions."""

    window: int
    keys: Callable[[int], int]  # of a context, those whose scores are computed for each query

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T d"],
        positions: Int[Array, "B T"] | None = None,
        documents: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T d"]:
        time, T = self.past("time", 0), x.shape[1]
        q, k, v, scale = project(self, x, time if positions is None else positions)
        k, v = self.lay(k, "BSgk"), self.lay(v, "BSgk")
        if self.generates or self.keys(T) == T:
            k, v = self._last("keys", k), self._last("values", v)
            places = time + T - k.shape[1] + jnp.arange(k.shape[1])
            same = alike(
                documents, None if documents is None else self._last("documents", documents)
            )
            y = attend_with(q, k, v, scale, within(time, T, places, self.window), same)
            self.keep("time", time + T)
        else:
            y = attend_in_blocks(q, k, v, scale, self.window, documents)
        return self.dense(y, "out", "hk->d")

    def _last(self, name: str, x: Array) -> Array:
        """x after the window of the calls before, which its end replaces."""
        if not self.generates:
            return x
        room = min(self.window, x.shape[1])  # of the first call, whose tokens are the context
        last = self.past(name, jnp.zeros((len(x), room, *x.shape[2:]), x.dtype))
        every = jnp.concatenate([last, x], axis=1)
        self.keep(name, every[:, -last.shape[1] :])
        return every
