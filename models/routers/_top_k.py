"""Routes of each token to its most probable experts."""

from __future__ import annotations

import jax
from jax import Array
from jaxtyping import Float

from models.routers._routes import Routed, Seen, balance_loss, dropped, highest, queue, z_loss


def route(seen: Seen) -> Routed:
    """The slots of each token; balance_loss, router_z_loss, and router_dropped, the share of
    choices that found their expert full."""
    return route_by(seen.product(seen.x, "router"), seen)


def route_by(logits: Float[Array, "B T r"], seen: Seen) -> Routed:
    """As `route`, by these logits."""
    p = jax.nn.softmax(logits, axis=-1)
    routes, chosen = queue(highest(p, seen.active), p, seen.experts, seen.capacity)
    found = {
        "balance_loss": balance_loss(chosen, p, seen.active, seen.price),
        "router_z_loss": z_loss(logits),
        "router_dropped": dropped(routes),
    }
    return Routed(routes, found, chosen * p)
