"""Routes by a balanced plan in training, and by the highest logits in evaluation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from models.routers._routes import Routed, Seen, dropped, highest, queue, z_loss

ITERATIONS = 8


def route(seen: Seen) -> Routed:
    """The slots of each token; router_z_loss, router_dropped and router_changed."""
    logits = seen.product(seen.x, "router")
    free = highest(logits, seen.active)
    choice = highest(plan(jax.lax.stop_gradient(logits)), seen.active) if seen.training else free
    p = jax.nn.softmax(logits, axis=-1)
    routes, chosen = queue(choice, p, seen.experts, seen.capacity)
    same = jax.nn.one_hot(free, p.shape[-1], dtype=jnp.int32).sum(2) * chosen
    found = {
        "router_z_loss": z_loss(logits),
        "router_dropped": dropped(routes),
        "router_changed": 1 - same.sum(-1).mean() / seen.active,
    }
    return Routed(routes, found, chosen * p)


def plan(logits: Float[Array, "B T r"]) -> Float[Array, "B T r"]:
    """ln Pi after `ITERATIONS` of Sinkhorn: first columns of sum T / r, then rows of sum 1."""
    share = jnp.log(logits.shape[1] / logits.shape[2])
    for _ in range(ITERATIONS):
        logits += share - jax.nn.logsumexp(logits, axis=1, keepdims=True)
        logits -= jax.nn.logsumexp(logits, axis=2, keepdims=True)
    return logits
