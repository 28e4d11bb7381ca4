"""Mixture-of-Recursions: each token goes through the shared layers as often as a router says.

Recursion r = 0 to R - 1 gathers the tokens that stay into C_r slots, in their order, and applies
the shared layers f to them: later ones see those before them that are there too, and rotary
positions are ranks among these. All others keep what they have.

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
from jaxtyping import Bool, Float

from models.config import TransformerConfig
from models.routers._routes import balance_loss, combine, dispatch, highest, queue, z_loss

SCALE = 0.1  # of the gates of expert choice
NEVER = -1e30

# x [B, T, d], a router's name, some of its columns -> [B, T, u] in float32
Product = Callable[[Array, str, slice], Array]
Layers = Callable[[Float[Array, "B C d"], int], Float[Array, "B C d"]]  # f of recursion r


class Choice(NamedTuple):
    """The answer for one recursion.

    Attributes:
        stays: the tokens that want it.
        update: (f(x), x, x_0) to the stream of those that have it.
    """

    stays: Bool[Array, "B T"]
    update: Callable[[Array, Array, Array], Array]


class Chooser:
    """Choices recursion by recursion, and what was found; one for each forward pass."""

    def __init__(self, c: TransformerConfig, product: Product, training: bool) -> None:
        self.c, self.product, self.training = c, product, training

    def choose(self, r: int, x: Float[Array, "B T d"], active: Bool[Array, "B T"]) -> Choice:
        """The tokens of recursion r among those that had the one before."""
        raise NotImplementedError

    def found(self) -> Mapping[str, Array]:
        """Penalties and metrics by name."""
        raise NotImplementedError


class TokenChoice(Chooser):
    """A depth for each token, from its stream before the first recursion."""

    def choose(self, r: int, x: Float[Array, "B T d"], active: Bool[Array, "B T"]) -> Choice:
        if r == 0:
            self.logits = self.product(x, "router", slice(None))
            self.p = jax.nn.softmax(self.logits, axis=-1)
            self.depth = highest(self.p, 1)[..., 0]
        gate = jnp.take_along_axis(self.p, self.depth[..., None], axis=-1).astype(x.dtype)
        last = (self.depth == r)[..., None]
        return Choice(
            active & (self.depth >= r), lambda y, x, first: jnp.where(last, gate * y + first, y)
        )

    def found(self) -> Mapping[str, Array]:
        chosen = jax.nn.one_hot(self.depth, self.c.recursions, dtype=jnp.int32)
        return {
            "balance_loss": balance_loss(chosen, self.p, 1),
            "router_z_loss": z_loss(self.logits),
        }


class ExpertChoice(Chooser):
    """The tokens with the highest scores in training; those that the second router names after."""

    def __init__(self, c: TransformerConfig, product: Product, training: bool) -> None:
        super().__init__(c, product, training)
        self.losses: list[Array] = []
        self.changed: list[Array] = []

    def choose(self, r: int, x: Float[Array, "B T d"], active: Bool[Array, "B T"]) -> Choice:
        T, own = x.shape[1], slice(r, r + 1)
        score = self.product(x, "router", own)[..., 0]
        guess = self.product(jax.lax.stop_gradient(x), "auxiliary", own)[..., 0]
        gate = (SCALE * jax.nn.sigmoid(score))[..., None].astype(x.dtype)
        n = self.c.tokens_at(T, r)
        best = highest(jnp.where(active, score, NEVER)[:, None], n)[:, 0]
        wanted = active & (jax.nn.one_hot(best, T, dtype=jnp.int32).sum(1) > 0)
        named = active & ((guess > 0) | (n == T))
        # cross-entropy of the guess, over the tokens that were to choose from
        loss = jnp.where(active, jnp.logaddexp(0, guess) - wanted * guess, 0)
        self.losses.append(loss.sum() / active.sum())
        self.changed.append((wanted != named).sum() / active.sum())
        return Choice(wanted if self.training else named, lambda y, x, first: x + gate * y)

    def found(self) -> Mapping[str, Array]:
        return {
            "auxiliary_loss": jnp.stack(self.losses).mean(),
            "router_changed": jnp.stack(self.changed).mean(),
        }


CHOOSERS: Mapping[str, type[Chooser]] = {
    "token_choice": TokenChoice,
    "expert_choice": ExpertChoice,
}


def recur(
    c: TransformerConfig, x: Float[Array, "B T d"], layers: Layers, product: Product, training: bool
) -> tuple[Float[Array, "B T d"], dict[str, Array]]:
    """The stream after all recursions, and what was found: penalties, and a histogram.

    recursions is the mean number of a token, recursion_k the share of tokens with k of them.
    """
    chooser = CHOOSERS[c.recursion](c, product, training)
    first, active, had = x, jnp.ones(x.shape[:2], bool), []
    for r in range(c.recursions):
        stays, update = chooser.choose(r, x, active)
        C = c.slots_at(x.shape[1], r)
        want = jnp.where(stays, 0, 1)[..., None]  # of one expert; 1 is none
        routes, _ = queue(want, jnp.ones((*x.shape[:2], 1)), 1, C)
        active = routes.slot[..., 0] < C
        y = layers(dispatch(x, routes.token, routes.slot), r)
        y = combine(y, routes.token, routes.slot)
        x = jnp.where(active[..., None], update(y, x, first), x)
        had.append(active.mean())
    return x, {**chooser.found(), **dict(_histogram(had))}


def _histogram(had: list[Array]) -> Iterator[tuple[str, Array]]:
    """From the shares of tokens that had each recursion."""
    yield "recursions", jnp.stack(had).sum()
    for k, (this, after) in enumerate(zip(had, [*had[1:], jnp.zeros(())], strict=True)):
        yield f"recursion_{k + 1}", this - after
