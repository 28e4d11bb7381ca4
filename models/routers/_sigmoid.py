"""Routes of each token to its highest sigmoids."""

from __future__ import annotations

import math

import jax
from jax import Array
from jaxtyping import Float

from models.routers._routes import Routed, Seen, dropped, highest, queue


def route(seen: Seen) -> Routed:
    """The slots of each token, entropy_loss and router_dropped."""
    logits = seen.product(seen.x, "router")
    s = jax.nn.sigmoid(logits)
    routes, chosen = queue(highest(logits, seen.active), s, seen.experts, seen.capacity)
    found = {"entropy_loss": entropy_loss(logits), "router_dropped": dropped(routes)}
    return Routed(routes, found, chosen * s)


def entropy_loss(logits: Float[Array, "B T r"]) -> Float[Array, ""]:
    """ln r + sum_e P_e ln P_e, with P the mean softmax of a sequence; 0 where it is even."""
    p = jax.nn.softmax(logits, axis=-1).mean(1)
    return math.log(logits.shape[-1]) - jax.scipy.special.entr(p).sum(-1).mean()
