"""Routes to the highest sigmoids plus a bias."""

from __future__ import annotations

import jax

from models.routers._routes import Routed, Seen, dropped, highest, queue


def route(seen: Seen) -> Routed:
    """The slots of each token, bias_loss and router_dropped."""
    s = jax.nn.sigmoid(seen.product(seen.x, "router"))
    bias = seen.weights["router_bias"]
    routes, chosen = queue(highest(s + bias, seen.active), s, seen.experts, seen.capacity)
    excess = chosen.mean((0, 1)) - seen.active / chosen.shape[-1]
    found = {"bias_loss": (bias * excess).sum(), "router_dropped": dropped(routes)}
    return Routed(routes, found, chosen * s)
