"""The gated delta rule in chunks of positions, as pure functions of arrays, and the module over it.

Letters as in `scaling.common.alphabet`. A state S [k, w] holds values by keys. Each position lets
it decay by a, and writes u, the part of beta v that the state does not hold already:

    u_t = beta_t (v_t - a_t S_(t-1)^T k_t)      S_t = a_t S_(t-1) + k_t u_t^T      o_t = S_t^T q_t

In a chunk of p positions after a state S, with A_ts = beta_t (a_(s+1) ... a_t) k_t.k_s for s < t,
all u at once solve (I + A) u = beta (v - (a_1 ... a_t) S^T k).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from models.config import TransformerConfig
from models.mixers._chunks import chunks, joined, no_state
from models.mixers._convolution import convolve
from models.module import Module, Norm
from scaling.counting.parts import Counts

# The decay at the start, exp(-A dt): the published draws are A ~ U(0, 16) and ln dt uniform
A_MOST = 16.0
DT = (1e-3, 1e-1)


@jax.custom_vjp
def unit_lower_inverse(a: Float[Array, "*n p p"]) -> Float[Array, "*n p p"]:
    """(I + A)^-1 of a strictly lower A, p a power of two.

    From blocks of size s to 2 s: [[X, 0], [-Y A X, Y]], with X and Y the inverses of the two on the
    diagonal. Powers of A are not formed; they may be large where the inverse is not.
    """
    p, size = a.shape[-1], 1
    inverse = jnp.ones((*a.shape[:-2], p, 1, 1), a.dtype)
    while size < p:
        pairs = a.reshape(*a.shape[:-2], p // size // 2, 2, size, p // size // 2, 2, size)
        below = pairs[..., 1, :, :, 0, :]  # of every two pairs of blocks; those of one are needed
        corner = jnp.moveaxis(jnp.diagonal(below, axis1=-4, axis2=-2), -1, -3)
        upper, lower = inverse[..., ::2, :, :], inverse[..., 1::2, :, :]
        corner = -corner if size == 1 else -(lower @ corner @ upper)
        top = jnp.concatenate([upper, jnp.zeros_like(corner)], axis=-1)
        inverse = jnp.concatenate([top, jnp.concatenate([corner, lower], axis=-1)], axis=-2)
        size *= 2
    return inverse[..., 0, :, :]


def _forward(a: Array) -> tuple[Array, Array]:
    inverse = unit_lower_inverse(a)
    return inverse, inverse


def _backward(inverse: Array, d: Array) -> tuple[Array]:
    turned = inverse.swapaxes(-1, -2)
    return (-jnp.tril(turned @ d @ turned, -1),)


unit_lower_inverse.defvjp(_forward, _backward)


def gated_delta_rule(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B T h k"],
    v: Float[Array, "B T h w"],
    log_decay: Float[Array, "B T h"],
    beta: Float[Array, "B T h"],
    state: Float[Array, "B h k w"],
    length: int,
) -> tuple[Float[Array, "B T h w"], Float[Array, "B h k w"]]:
    """o of every position, and the last state, in float32.

    Args:
        log_decay: ln a, at most 0.
        length: positions of a chunk, a power of two that divides T; 1 is the recurrence itself.
    """
    q, k, v, log_decay, beta = (chunks(x, length) for x in (q, k, v, log_decay, beta))
    since = log_decay.cumsum(-1)  # the log of the decay since the chunk began
    lower = np.tril(np.ones((length, length), bool))
    # masked before the exponential, which is infinite above the diagonal
    ratio = jnp.exp(jnp.where(lower, since[..., :, None] - since[..., None, :], -jnp.inf))
    products = jnp.concatenate([q, k], axis=-2) @ k.swapaxes(-1, -2)
    scores = ratio * products[..., :length, :]
    inverse = unit_lower_inverse(
        jnp.where(lower & ~np.eye(length, dtype=bool), ratio, 0)
        * products[..., length:, :]
        * beta[..., None]
    )
    decay, left = jnp.exp(since)[..., None], jnp.exp(since[..., -1:] - since)[..., None]
    per_chunk = (jnp.concatenate([q, k], axis=-2), k * left, v, beta[..., None], decay)

    def advance(state: Array, of: Any) -> tuple[Array, Array]:
        (both, k_left, v, beta, decay), scores, inverse = of
        held = both @ state
        u = inverse @ (beta * (v - decay * held[..., length:, :]))
        o = decay * held[..., :length, :] + scores @ u
        return decay[..., -1:, :] * state + k_left.swapaxes(-1, -2) @ u, o

    state, o = jax.lax.scan(advance, state.astype(jnp.float32), (per_chunk, scores, inverse))
    return joined(o), state


def unit(x: Float[Array, "*axes k"]) -> Float[Array, "*axes k"]:
    """x / |x| over the last axis, in float32."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-6)


def decay_start(heads: int) -> tuple[np.ndarray, np.ndarray]:
    """ln A and the bias of dt of each head: evenly spaced quantiles of the published draws.

    So heads differ at any seed. A rises over the heads; dt is in another order.
    """
    places = (np.arange(heads) + 0.5) / heads
    low, high = np.log(DT)
    dt = np.exp(low + (high - low) * np.random.default_rng(0).permutation(places))
    return np.log(A_MOST * places), dt + np.log(-np.expm1(-dt))  # softplus of which is dt


class GatedDelta(Module):
    """Gated DeltaNet: short convolutions, unit queries and keys, a gated norm of the output."""

    counts: Callable[[TransformerConfig, int], Counts]  # whose letters are its sizes
    beta: float  # the most that is written; above 1 eigenvalues may be negative

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        c, T = self.spec.config, x.shape[1]
        heads, own = c.heads, self.counts(c, T).letters

        def side(name: str, letters: str) -> Array:
            y = self.dense(x, name, f"d->{letters}", "hidden", **own)
            return self.lay(nn.silu(convolve(self, y, f"{name}_taps", letters)), f"BS{letters}")

        q, k, v = side("query", "hk"), side("key", "hk"), side("value", "hw")
        log_a, bias = decay_start(heads)
        rate = jnp.exp(log_a + self.weight("log_rate", "bias", "->h").astype(jnp.float32))
        shift = bias + self.weight("time_bias", "bias", "->h").astype(jnp.float32)
        step = self.dense(x, "time", "d->h").astype(jnp.float32)
        beta = self.beta * nn.sigmoid(self.dense(x, "beta", "d->h").astype(jnp.float32))
        start = no_state(k, v)
        log_decay = -rate * nn.softplus(step + shift)
        log_decay, beta = self.lay(log_decay, "BSh"), self.lay(beta, "BSh")
        o, state = gated_delta_rule(
            unit(q), unit(k), v, log_decay, beta, self.past("state", start),
            own["p"],
        )  # fmt: skip
        self.keep("state", state)
        o = Norm(self.spec, "w", name="norm")(o.astype(x.dtype))
        o *= nn.silu(self.dense(x, "gate", "d->hw", "hidden", **own))
        return self.dense(self.lay(o, "BThw"), "out", "hw->d", "hidden", **own)
