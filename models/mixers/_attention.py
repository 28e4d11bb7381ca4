"""Causal attention and rotary positions, as pure functions of arrays, and the module over them.

Letters as in `scaling.common.alphabet`; n heads of all sequences, stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from models.layout import by_block
from models.mixers._ring import ring
from models.mixers._splash import splash
from models.module import Module, Norm
from scaling.machines.layout import Layout

ROPE_BASE = 10_000.0
NEVER = -1e30  # the score of a key that a query does not see
ONE_DEVICE = Layout()


def rotate(x: Float[Array, "B T h k"], first: int | Array = 0) -> Float[Array, "B T h k"]:
    """Rotary positions (Su et al. 2021): pairs (x_i, x_{i+k/2}) turn by t * base^(-2i/k).

    Args:
        x: k even.
        first: the position of x_0, or [B, T] of each.
    """
    half = x.shape[-1] // 2
    # NumPy, so that the angles are constants of the program and not work in every step
    xp = np if isinstance(first, int) else jnp
    places = first if np.ndim(first) == 2 else first + np.arange(x.shape[1])
    angle = xp.expand_dims(places, -1) * ROPE_BASE ** (-np.arange(half) / half)
    cos, sin = (xp.asarray(f(angle)[..., None, :], x.dtype) for f in (xp.cos, xp.sin))
    left, right = x[..., :half], x[..., half:]
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


def _softmax_average(
    q: Float[Array, "n T k"], k: Float[Array, "n S k"], v: Float[Array, "n S k"]
) -> tuple[Float[Array, "n T k"], Float[Array, "n T S"]]:
    """softmax(q k^T, causal) v and the softmax itself, for n stacked heads.

    Along T lie the S positions of one query head of the group after those of another.
    """
    scores = jnp.einsum("ntk,nsk->nts", q, k).astype(jnp.float32)
    t, s = (jax.lax.broadcasted_iota(jnp.int32, scores.shape[1:], axis) for axis in (0, 1))
    scores = jnp.where(s <= t % scores.shape[2], scores, NEVER)
    p = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("nts,nsk->ntk", p, v), p


@jax.custom_vjp
def _average_barrier(q: Array, k: Array, v: Array) -> Array:
    return _softmax_average(q, k, v)[0]


def _forward(
    q: Array, k: Array, v: Array
) -> tuple[Array, tuple[Array, Array, Array, Array, Array]]:
    y, p = _softmax_average(q, k, v)
    return y, (q, k, v, p, y)


def _backward(
    saved: tuple[Array, Array, Array, Array, Array], dy: Array
) -> tuple[Array, Array, Array]:
    # sum_s p dp = sum_k dy y (as in FlashAttention) spares a slow reduction over the T x T square;
    # the products over t are taken as [k, s] and turned, for XLA:CPU would turn the square instead
    q, k, v, p, y = saved
    barrier = jax.lax.optimization_barrier
    dy = barrier(dy)
    dp = jnp.einsum("ntk,nsk->nts", dy, v)
    ds = barrier(p * (dp - (dy * y).sum(-1, keepdims=True)))
    dv = barrier(jnp.einsum("ntk,nts->nks", dy, p)).swapaxes(1, 2)
    dk = barrier(jnp.einsum("ntk,nts->nks", q, ds)).swapaxes(1, 2)
    return jnp.einsum("nts,nsk->ntk", ds, k), dk, dv


_average_barrier.defvjp(_forward, _backward)


def _barrier(q: Array, k: Array, v: Array, scale: float | Array) -> Array:
    B, T, H, K = q.shape

    def stack(x: Array) -> Array:  # heads of one group lie after one another along T
        return x.swapaxes(1, 2).reshape(B * k.shape[2], -1, K)

    y = _average_barrier(stack(q * jnp.asarray(scale, q.dtype)), stack(k), stack(v))
    return y.reshape(B, H, T, K).swapaxes(1, 2)


def _dot_product(
    q: Array, k: Array, v: Array, scale: float | Array, implementation: Literal["xla", "cudnn"]
) -> Array:
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        scale=scale,  # type: ignore[arg-type]  # a traced scalar too
        is_causal=True,
        implementation=implementation,
    )


# models/mixers/attention.py says which of them a device and a model can run.
BACKENDS: Mapping[str, Callable[[Array, Array, Array, float | Array], Array]] = {
    "barrier": _barrier,
    "xla": partial(_dot_product, implementation="xla"),
    "cudnn": partial(_dot_product, implementation="cudnn"),
    "splash": splash,
    "ring": ring,
}


def causal_scores(
    q: Float[Array, "B T h k"], k: Float[Array, "B S g k"], scale: float | Array
) -> Float[Array, "B h T S"]:
    """scale q.k in float32, 0 above the diagonal."""
    k = jnp.repeat(k, q.shape[2] // k.shape[2], axis=2)
    return jnp.tril(scale * jnp.einsum("bthk,bshk->bhts", q, k).astype(jnp.float32))


def attend_with(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B S g k"],
    v: Float[Array, "B S g k"],
    scale: float | Array,
    bias: Float[Array, "#h T S"] | Float[np.ndarray, "#h T S"],
    same: Bool[Array, "B T S"] | None = None,
) -> Float[Array, "B T h k"]:
    """softmax(scale q k^T + bias) v, with scores in float32.

    Args:
        bias: `NEVER` where a query does not see a key.
        same: of `alike`; a query sees no key of another document.
    """
    B, T, H, K = q.shape
    group = q.reshape(B, T, k.shape[2], -1, K)
    scores = jnp.einsum("btgik,bsgk->bgits", group, k).astype(jnp.float32) * scale
    bias = jnp.broadcast_to(bias, (H, *bias.shape[1:])).reshape(*scores.shape[1:3], *bias.shape[1:])
    scores += bias
    if same is not None:
        scores = jnp.where(same[:, None, None], scores, NEVER)
    p = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bgits,bsgk->btgik", p, v).reshape(B, T, H, K)


def seen(first: int | Array, queries: int, keys: int) -> Float[Array, "1 T S"]:
    """The bias of causality: 0 for keys up to the query, of which the first is at `first`."""
    t = first + jnp.arange(queries)
    return jnp.where(jnp.arange(keys) <= t[:, None], 0.0, NEVER)[None]


def alike(
    documents: Int[Array, "B T"] | None, of_keys: Int[Array, "B S"] | None
) -> Bool[Array, "B T S"] | None:
    """True where a query and a key are of one document; None where a window is one text."""
    if documents is None or of_keys is None:
        return None
    return documents[:, :, None] == of_keys[:, None]


# Kernels that XLA cannot divide over devices: each device calls them on its sequences and heads,
# or on its positions
KERNELS = ("cudnn", "splash", "ring")


def attend(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B S g k"],
    v: Float[Array, "B S g k"],
    scale: float | Array,
    backend: str,
    layout: Layout = ONE_DEVICE,
) -> Float[Array, "B T h k"]:
    """softmax(scale q k^T, causal) v, with the softmax in float32.

    Args:
        k: its heads g divide those of q; query head i reads head i // (h / g).
        backend: a key of `BACKENDS`; the same numbers up to rounding.
    """

    def average(q: Array, k: Array, v: Array) -> Array:
        return BACKENDS[backend](q, k, v, scale)

    if backend not in KERNELS:
        return average(q, k, v)
    if k.shape[2] % layout.sizes["tensor"]:  # so that each device has the keys of its query heads
        k, v = (jnp.repeat(x, q.shape[2] // k.shape[2], axis=2) for x in (k, v))
    return by_block(layout, average, ("BThk", "BTgk", "BTgk"), "BThk")(q, k, v)


def queries_and_keys(
    module: Module, x: Float[Array, "B T d"], time: int | Array, rotated: bool = True
) -> tuple[Array, Array, float | Array]:
    """Queries [B, T, h, k], keys [B, T, g, k], and the scale of their products.

    Args:
        time: the position of x_0, or [B, T] of each.
        rotated: they turn where the model has rotary positions.
    """
    c = module.spec.config
    q = module.dense(x, "query", "d->hk", "query")
    k = module.dense(x, "key", "d->gk")
    if c.qk_norm == "rmsnorm":
        q = Norm(module.spec, "k", name="query_norm", parent=module)(q)
        k = Norm(module.spec, "k", name="key_norm", parent=module)(k)
    if rotated and c.positions == "rope":
        q, k = rotate(q, time), rotate(k, time)
    return q, k, module.spec.parametrization.attention_factor(c.head_dim)


def project(
    module: Module, x: Float[Array, "B T d"], time: int | Array, rotated: bool = True
) -> tuple[Array, Array, Array, float | Array]:
    """As `queries_and_keys`, with values [B, T, g, k] before the scale."""
    q, k, scale = queries_and_keys(module, x, time, rotated)
    return q, k, module.dense(x, "value", "d->gk"), scale


def attended(
    module: Module,
    q: Array,
    k: Array,
    v: Array,
    scale: float | Array,
    time: int | Array,
    documents: Int[Array, "B T"] | None = None,
) -> Float[Array, "B T h k"]:
    """The average of values by the kernel of the program; of generated tokens, of all so far.

    Args:
        documents: of each token; None where a window is one text.
    """
    module.tap("logits", lambda: causal_scores(q, k, scale))
    if not module.generates:
        if documents is not None:
            before = seen(0, q.shape[1], k.shape[1])
            return attend_with(q, k, v, scale, before, alike(documents, documents))
        return attend(q, k, v, scale, module.spec.program.attention, module.spec.layout)
    module.keep("time", time + q.shape[1])
    k, v = module.history("keys", k, time), module.history("values", v, time)
    kept = None if documents is None else module.history("documents", documents, time)
    before = seen(time, q.shape[1], k.shape[1])
    return attend_with(q, k, v, scale, before, alike(documents, kept))


class Attention(Module):
    """Multi-head, grouped-query or multi-query causal self-attention."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T d"],
        raw: Float[Array, "B T d"] | None = None,
        positions: Int[Array, "B T"] | None = None,
        documents: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T d"]:
        """Queries and keys are of x, values of `raw` if that is given."""
        time = self.past("time", 0)
        q, k, scale = queries_and_keys(self, x, time if positions is None else positions)
        v = self.dense(x if raw is None else raw, "value", "d->gk")
        return self.dense(attended(self, q, k, v, scale, time, documents), "out", "hk->d")
