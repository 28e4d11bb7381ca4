"""Each token goes to its most probable experts, a of them, in the order of positions.

    p = softmax(x W_router),    weight of expert e for token t: p_te

Probabilities are not divided by their sum over a (Fedus et al. 2021). Slots of an expert are taken
in the order of positions. A token that finds them full is dropped: the expert adds nothing to it. A
token depends on those before it in its sequence alone, on no device and no microbatch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from models.ffn._experts import Routes
from models.part import Router


def route(
    x: Float[Array, "B T d"], logits: Float[Array, "B T r"], active: int, capacity: int
) -> tuple[Routes, dict[str, Float[Array, ""]]]:
    """The slots of each token, and means over sequences:

    balance_loss: r sum_e f_e P_e, with f the share of choices and P the mean probability of an
        expert in a sequence; 1 where they are even (Fedus et al. 2021, arXiv:2101.03961).
    router_z_loss: (ln Z)^2 of the router's softmax (Zoph et al. 2022, arXiv:2202.08906).
    router_dropped: the share of choices that found their expert full.

    Args:
        logits: in float32.
        active: a.
        capacity: C, at most T.
    """
    B, T, E = logits.shape
    p = jax.nn.softmax(logits, axis=-1)
    # a sort of each row in place: XLA gathers the rows of a top_k on every device
    choice = jnp.argsort(jax.lax.stop_gradient(-p), axis=-1)[..., :active]  # [B, T, a]
    chosen = jax.nn.one_hot(choice, E, dtype=jnp.int32).sum(2)  # [B, T, r]
    place = jnp.take_along_axis(chosen.cumsum(1) - 1, choice, axis=-1)  # in the expert's queue
    slot = jnp.where(place < capacity, choice * capacity + place, E * capacity)
    queue = jnp.where(chosen > 0, jnp.arange(T)[:, None], T).swapaxes(1, 2)  # [B, r, T]
    token = jnp.sort(queue, axis=-1)[..., :capacity]
    weight = jnp.take_along_axis(p.swapaxes(1, 2), token, axis=-1, mode="fill", fill_value=0)
    found = {
        "balance_loss": (chosen.mean(1) / active * p.mean(1)).sum(-1).mean() * E,
        "router_z_loss": jnp.square(jax.nn.logsumexp(logits, axis=-1)).mean(),
        "router_dropped": (slot == E * capacity).mean(),
    }
    return Routes(token.reshape(B, -1), slot, weight.reshape(B, -1)), found


ROUTER = Router(
    route=route,
    causal=True,
    source="Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961",
)
