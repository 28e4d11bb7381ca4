"""Routes of each token by its id."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from models.routers._routes import Routed, Seen, dropped, queue

GOLDEN = np.uint32(0x9E3779B1)  # 2^32 over the golden ratio: its multiples spread evenly (Knuth)


def route(seen: Seen) -> Routed:
    """The slots of each token; router_dropped, the share of choices that found a full expert."""
    hashed = (seen.memory["tokens"].astype(jnp.uint32) * GOLDEN) >> np.uint32(16)
    first = (hashed % np.uint32(seen.experts)).astype(jnp.int32)
    choice = (first[..., None] + jnp.arange(seen.active)) % seen.experts
    gates = jax.nn.one_hot(choice, seen.experts).sum(2) / seen.active
    routes, _ = queue(choice, gates, seen.experts, seen.capacity)
    return Routed(routes, {"router_dropped": dropped(routes)}, gates)
