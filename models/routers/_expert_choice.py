"""Routes that experts choose in training, and tokens in evaluation."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from models.routers._routes import Routed, Routes, Seen, dropped, highest, highest_tokens, queue


def route(seen: Seen) -> Routed:
    """The slots of each token; router_dropped, in training the tokens of no expert."""
    p = jax.nn.softmax(seen.product(seen.x, "router"), axis=-1)
    B, T, E = p.shape
    C, N = seen.capacity, seen.experts * seen.capacity
    routes, chosen = queue(highest(p, seen.active), p, seen.experts, C)
    if not seen.training:
        return Routed(routes, {"router_dropped": dropped(routes)}, chosen * p)
    by_token = p.swapaxes(1, 2)  # [B, r, T]
    token = highest_tokens(by_token, C)  # [B, r, C]
    taken = jax.nn.one_hot(token, T, dtype=jnp.int32)  # [B, r, C, T]
    rank = jnp.where(taken.sum(2) > 0, (taken * jnp.arange(C)[:, None]).sum(2), N)
    slot = jnp.minimum(jnp.arange(E)[:, None] * C + rank, N).swapaxes(1, 2)  # [B, T, r]
    weight = jnp.take_along_axis(by_token, token, axis=-1)
    routes = Routes(token.reshape(B, -1), slot, weight.reshape(B, -1))
    pairs = (slot < N).astype(jnp.int32)
    found = {
        "router_dropped": (pairs.sum(-1) == 0).mean(),
        "router_changed": (pairs * (1 - chosen)).sum() / pairs.sum(),
    }
    return Routed(routes, found, pairs * p)
