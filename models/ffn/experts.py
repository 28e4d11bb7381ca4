"""Mixture of experts: which token goes to which expert, and the way there and back.

    p = softmax(x W_router),    y_t = sum over the k experts e of largest p_te  p_te expert_e(x_t)

(Shazeer et al. 2017; probabilities as they are, not divided by the sum of the k: Fedus et al. 2021,
arXiv:2101.03961.) Each expert has C slots in every sequence, taken in the order of positions. A
token that comes when they are full is dropped: the expert adds nothing to it. So what a token gets
depends on those before it in its own sequence alone, and on no device and no microbatch.

Letters: B sequences, T positions, E experts, k of a token, C slots of an expert, S = E C, d width.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Routes(NamedTuple):
    """Two ways to write down who is where; what is out of range is nowhere.

    Attributes:
        token: [B, S], the position whose token is in a slot; T where the slot is empty.
        slot: [B, T, k], the slots of a token, e C + c; S where it was dropped.
        weight: [B, S], the probability of the expert for the token in its slot; 0 where empty.
    """

    token: Array
    slot: Array
    weight: Array


class Routing(NamedTuple):
    """What a router says of itself, means over sequences.

    Attributes:
        balance: E sum_e f_e P_e, with f the share of choices and P the mean probability of an
            expert in a sequence; 1 where they are even (Fedus et al. 2021).
        log_z_squared: (ln Z)^2 of the router's softmax (Zoph et al. 2022, arXiv:2202.08906).
        dropped: the share of choices that found their expert full.
    """

    balance: Array
    log_z_squared: Array
    dropped: Array


def route(logits: Array, active: int, capacity: int) -> tuple[Routes, Routing]:
    """Each token to the `active` experts of largest probability.

    Args:
        logits: [B, T, E] in float32.
        active: k.
        capacity: C, at most T.
    """
    T, E = logits.shape[1:]
    p = jax.nn.softmax(logits, axis=-1)
    # by a sort of each row where it is, for XLA brings the rows of a top_k together on every device
    choice = jnp.argsort(jax.lax.stop_gradient(-p), axis=-1)[..., :active]  # [B, T, k]
    chosen = jax.nn.one_hot(choice, E, dtype=jnp.int32).sum(2)  # [B, T, E]
    place = jnp.take_along_axis(chosen.cumsum(1) - 1, choice, axis=-1)  # in the expert's queue
    slot = jnp.where(place < capacity, choice * capacity + place, E * capacity)
    queue = jnp.where(chosen > 0, jnp.arange(T)[:, None], T).swapaxes(1, 2)  # [B, E, T]
    token = jnp.sort(queue, axis=-1)[..., :capacity]
    weight = jnp.take_along_axis(p.swapaxes(1, 2), token, axis=-1, mode="fill", fill_value=0)
    routing = Routing(
        balance=(chosen.mean(1) / active * p.mean(1)).sum(-1).mean() * E,
        log_z_squared=jnp.square(jax.nn.logsumexp(logits, axis=-1)).mean(),
        dropped=(slot == E * capacity).mean(),
    )
    B = len(logits)
    return Routes(token.reshape(B, -1), slot, weight.reshape(B, -1)), routing


def _take(x: Array, index: Array) -> Array:
    """Rows of each sequence: [B, N, d] and [B, ...] of 0 to N -> [B, ..., d]; row N is zero."""
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="fill", fill_value=0))(x, index)


# Each of these is the transpose of the other, so that forward and backward are gathers alike: a
# scatter adds in no fixed order on some devices, and is slow on others.


@jax.custom_vjp
def dispatch(x: Array, token: Array, slot: Array) -> Array:
    """Every token to its slots: [B, T, d] -> [B, S, d]."""
    return _take(x, token)


@jax.custom_vjp
def combine(y: Array, token: Array, slot: Array) -> Array:
    """The sum of what is in the slots of each token: [B, S, d] -> [B, T, d]."""
    return _take(y, slot).sum(2)


def _forward_dispatch(x: Array, token: Array, slot: Array) -> tuple[Array, tuple[Array, Array]]:
    return dispatch(x, token, slot), (token, slot)


def _backward_dispatch(saved: tuple[Array, Array], dy: Array) -> tuple[Array, None, None]:
    return combine(dy, *saved), None, None


def _forward_combine(y: Array, token: Array, slot: Array) -> tuple[Array, tuple[Array, Array]]:
    return combine(y, token, slot), (token, slot)


def _backward_combine(saved: tuple[Array, Array], dy: Array) -> tuple[Array, None, None]:
    return dispatch(dy, *saved), None, None


dispatch.defvjp(_forward_dispatch, _backward_dispatch)
combine.defvjp(_forward_combine, _backward_combine)
