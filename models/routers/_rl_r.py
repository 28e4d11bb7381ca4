"""Routes drawn from a policy, and the numbers by which it is trained."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt

from models.routers._routes import Routed, Seen, balance_loss, dropped, highest, queue


def route(seen: Seen) -> Routed:
    """The slots of each token; log_policy and baseline [B, T], balance_loss and router_dropped."""
    logits = seen.product(seen.x, "router")
    layer = seen.memory["layer"]
    noise = gumbel(seen.memory["tokens"], layer, logits.shape[-1]) if seen.training else 0.0
    choice = highest(logits + noise, seen.active)
    gates = jnp.full(logits.shape, 1 / seen.active)
    routes, chosen = queue(choice, gates, seen.experts, seen.capacity)
    log_pi = jax.nn.log_softmax(logits, axis=-1)
    found = {
        "log_policy": (chosen * log_pi).sum(-1),
        "baseline": seen.product(jax.lax.stop_gradient(seen.x), "baseline"),
        "balance_loss": balance_loss(chosen, jnp.exp(log_pi), seen.active, seen.price),
        "router_dropped": dropped(routes),
    }
    return Routed(routes, found, chosen * gates, {"layer": layer + 1})


def gumbel(
    tokens: Int[Array, "B T"], layer: Float[Array, "B T"], choices: int
) -> Float[Array, "B T r"]:
    """-ln(-ln u), u uniform: a hash of the tokens up to each one, the layer and the choice."""
    place = jnp.arange(tokens.shape[1], dtype=jnp.uint32)
    so_far = jnp.cumsum(_mixed(tokens.astype(jnp.uint32) + _mixed(place)), axis=1)
    salted = _mixed(so_far + _mixed(layer.astype(jnp.uint32) + np.uint32(1)))
    bits = _mixed(salted[..., None] + _mixed(jnp.arange(choices, dtype=jnp.uint32)))
    u = ((bits >> np.uint32(8)).astype(jnp.float32) + 0.5) * 2.0**-24
    return -jnp.log(-jnp.log(u))


def _mixed(x: UInt[Array, "*axes"]) -> UInt[Array, "*axes"]:
    """Each bit flips half of the others (the finalizer of MurmurHash3)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
