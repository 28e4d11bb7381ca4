"""Routes of each token by a recurrent state over the layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from models.routers._routes import Routed, Seen
from models.routers._top_k import route_by


def route(seen: Seen) -> Routed:
    """As of top_k, and the state for the next layer."""
    h, x = seen.memory["state"], seen.product(seen.x, "router")
    into = seen.product(x, "gates") + seen.weights["gates_bias"]
    back = seen.product(h, "gates_back") + seen.weights["gates_back_bias"]
    keep, reset = (jax.nn.sigmoid(into[..., i, :] + back[..., i, :]) for i in (0, 1))
    new = jnp.tanh(into[..., 2, :] + reset * back[..., 2, :])
    h = (1 - keep) * new + keep * h
    return route_by(seen.product(h, "choice"), seen)._replace(memory={"state": h})
