"""Mixture-of-Recursions: each token goes through the shared layers as often as a router says.

Recursion r = 0 to R - 1 gathers the tokens that stay into C_r slots, in their order, and applies
the shared layers f to them: later ones see those before them that are there too. Rotary positions
are those of the sequence. All others keep what they have.

    token choice    p = softmax(x_0 W), i = argmax p:    x <- f(x) for r < i,  p_i f(x) + x_0 at i
    expert choice   g = sigmoid(x W)_r / 10, the n_r highest of those left:    x <- x + g f(x)

n_r = T (R - r) / R. Expert choice sees later tokens in training. So a second router learns what it
chose, and chooses in evaluation; its input has no gradient. Bae et al. 2025, arXiv:2507.10524.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from models.config import TransformerConfig
from models.routers._routes import (
    balance_loss,
    combine,
    dispatch,
    highest,
    highest_tokens,
    queue,
    z_loss,
)

SCALE = 0.1  # of the gates of expert choice
NEVER = -1e30

# x [B, T, d], a router's name, some of its columns -> [B, T, u] in float32
Product = Callable[[Array, str, slice], Array]
# f: of tokens and their positions; T where a slot is empty
Layers = Callable[[Float[Array, "B C d"], Int[Array, "B C"]], Float[Array, "B C d"]]


class Choice(NamedTuple):
    """The answer for one recursion.

    Attributes:
        stays: the tokens that want it.
        update: (f(x), x) to the stream of those that have it.
        found: penalties and metrics by name, whose means over the recursions count.
    """

    stays: Bool[Array, "B T"]
    update: Callable[[Array, Array], Array]
    found: Mapping[str, Array]


# (recursion, x [B, T, d], tokens [B, T] that had the one before) -> the tokens of this one
Choose = Callable[[int, Array, Array], Choice]


def token_choice(
    c: TransformerConfig, first: Float[Array, "B T d"], product: Product, training: bool
) -> Choose:
    """A depth for each token, from its stream before the first recursion."""
    logits = product(first, "router", slice(None))
    p = jax.nn.softmax(logits, axis=-1)
    depth = highest(p, 1)
    gate = jnp.take_along_axis(p, depth, axis=-1).astype(first.dtype)
    chosen = jax.nn.one_hot(depth[..., 0], c.recursions, dtype=jnp.int32)
    found = {"balance_loss": balance_loss(chosen, p, 1), "router_z_loss": z_loss(logits)}

    def choose(r: int, x: Array, active: Array) -> Choice:
        return Choice(
            active & (depth[..., 0] >= r),
            lambda y, x: jnp.where(depth == r, gate * y + first, y),
            found,
        )

    return choose


def expert_choice(
    c: TransformerConfig, first: Float[Array, "B T d"], product: Product, training: bool
) -> Choose:
    """The tokens with the highest scores in training; those that the second router names after."""
    T = first.shape[1]

    def choose(r: int, x: Array, active: Array) -> Choice:
        own, n = slice(r, r + 1), c.tokens_at(T, r)
        score = product(x, "router", own)[..., 0]
        guess = product(jax.lax.stop_gradient(x), "auxiliary", own)[..., 0]
        gate = (SCALE * jax.nn.sigmoid(score))[..., None].astype(x.dtype)
        best = highest_tokens(jnp.where(active, score, NEVER)[:, None], n)[:, 0]
        wanted = active & (jax.nn.one_hot(best, T, dtype=jnp.int32).sum(1) > 0)
        named = active & ((guess > 0) | (n == T))
        # cross-entropy of the guess, over the tokens that were to choose from
        loss = jnp.where(active, jnp.logaddexp(0, guess) - wanted * guess, 0)
        tokens = jnp.maximum(active.sum(), 1)
        found = {
            "auxiliary_loss": loss.sum() / tokens,
            "router_changed": (wanted != named).sum() / tokens,
        }
        return Choice(wanted if training else named, lambda y, x: x + gate * y, found)

    return choose


CHOICES: Mapping[str, Callable[[TransformerConfig, Array, Product, bool], Choose]] = {
    "token_choice": token_choice,
    "expert_choice": expert_choice,
}


def recur(
    c: TransformerConfig, x: Float[Array, "B T d"], layers: Layers, product: Product, training: bool
) -> tuple[Float[Array, "B T d"], dict[str, Array]]:
    """The stream after all recursions, and what was found: penalties, and a histogram.

    recursions is the mean number of a token, recursion_k the share of tokens with k of them.
    """
    choose = CHOICES[c.recursion](c, x, product, training)
    active, had, found = jnp.ones(x.shape[:2], bool), [], []
    for r in range(c.recursions):
        stays, update, seen = choose(r, x, active)
        C = c.slots_at(x.shape[1], r)
        want = jnp.where(stays, 0, 1)[..., None]  # of one expert; 1 is none
        routes, _ = queue(want, jnp.ones((*x.shape[:2], 1)), 1, C)
        active = routes.slot[..., 0] < C
        y = layers(dispatch(x, routes.token, routes.slot), routes.token)
        y = combine(y, routes.token, routes.slot)
        x = jnp.where(active[..., None], update(y, x), x)
        had.append(active.mean())
        found.append(seen)
    means = {name: jnp.stack([each[name] for each in found]).mean() for name in found[0]}
    return x, {**means, **dict(_histogram(had))}


def _histogram(had: list[Array]) -> Iterator[tuple[str, Array]]:
    """From the shares of tokens that had each recursion."""
    yield "recursions", jnp.stack(had).sum()
    for k, (this, after) in enumerate(zip(had, [*had[1:], jnp.zeros(())], strict=True)):
        yield f"recursion_{k + 1}", this - after
