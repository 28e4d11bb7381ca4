"""Routes of tokens to slots of experts: what routers see and answer, the way there and back.

Slots of a sequence are numbered e C + c, for slot c of expert e; N of them in all. A slot belongs
to one sequence, so that no device and no microbatch changes a route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

BITS = 12  # of a score, by which tokens are compared


class Routes(NamedTuple):
    """The same assignment of tokens to slots, from both sides.

    Attributes:
        token: the position whose token is in a slot; T where the slot is empty.
        slot: the slots of a token; N where it was dropped.
        weight: of the expert for the token in its slot; 0 where the slot is empty.
    """

    token: Int[Array, "B N"]
    slot: Int[Array, "B T a"]
    weight: Float[Array, "B N"]


class Seen(NamedTuple):
    """All that a router knows of the tokens of a layer.

    Attributes:
        x: the input of the router.
        product: (an array [B, T, *inputs], the name of a weight of the router) to their product in
            float32, [B, T, *outputs].
        weights: those of the router by name, in float32.
        memory: arrays that the layer before handed on, by name: `Router.carries`, and "tokens"
            [B, T] where the router reads them.
        experts: those that have slots; the first of the r choices.
        active: choices of a token, a.
        capacity: slots of an expert, C, at most T.
        training: False where a later token must change nothing.
        price: of each of the r choices in the balance of the load.
    """

    x: Float[Array, "B T d"]
    product: Callable[[Array, str], Array]
    weights: Mapping[str, Array]
    memory: Mapping[str, Array]
    experts: int
    active: int
    capacity: int
    training: bool
    price: Array | float = 1.0


class Routed(NamedTuple):
    """The answer of a router.

    Attributes:
        routes: of tokens to slots.
        found: scalars by name, means over sequences: penalties that the objective may weigh, and
            metrics; or arrays [B, T] that the objective makes into penalties.
        gates: the weight of every choice for a token, 0 where it was not chosen; None of routers
            whose tokens do not choose.
        memory: changes of what the next layer is handed.
    """

    routes: Routes
    found: Mapping[str, Array]
    gates: Float[Array, "B T r"] | None = None
    memory: Mapping[str, Array] = {}


def highest(scores: Float[Array, "B T r"], active: int) -> Int[Array, "B T a"]:
    """The choices of the highest scores, the best first; no gradient."""
    # a sort of each row in place: XLA gathers the rows of a top_k on every device
    return jnp.argsort(jax.lax.stop_gradient(-scores), axis=-1)[..., :active]


def highest_tokens(scores: Float[Array, "B r T"], count: int) -> Int[Array, "B r n"]:
    """The tokens of the highest scores, compared to BITS bits; of equal ones the earlier is higher.

    A text that begins with one token twice has equal streams at both: rounding would choose.
    """
    return highest(jax.lax.reduce_precision(scores, exponent_bits=8, mantissa_bits=BITS), count)


def queue(
    choice: Int[Array, "B T a"], weight: Float[Array, "B T r"], experts: int, capacity: int
) -> tuple[Routes, Int[Array, "B T r"]]:
    """The slots of the tokens that chose an expert, in the order of positions, and their choices.

    A token that finds an expert full is dropped there: the expert adds nothing to it. Choices from
    `experts` on have no slots. A token depends on those before it in its sequence alone.
    """
    B, T, r = weight.shape
    N = experts * capacity
    chosen = jax.nn.one_hot(choice, r, dtype=jnp.int32).sum(2)  # [B, T, r]
    place = jnp.take_along_axis(chosen.cumsum(1) - 1, choice, axis=-1)  # in the expert's queue
    slot = jnp.where((place < capacity) & (choice < experts), choice * capacity + place, N)
    waiting = jnp.where(chosen > 0, jnp.arange(T)[:, None], T).swapaxes(1, 2)  # [B, r, T]
    token = jnp.sort(waiting[:, :experts], axis=-1)[..., :capacity]
    own = weight.swapaxes(1, 2)[:, :experts]
    weight = jnp.take_along_axis(own, token, axis=-1, mode="fill", fill_value=0)
    return Routes(token.reshape(B, -1), slot, weight.reshape(B, -1)), chosen


def balance_loss(
    chosen: Int[Array, "B T r"],
    p: Float[Array, "B T r"],
    active: int,
    price: Array | float = 1.0,
) -> Float[Array, ""]:
    """r sum_e c_e f_e P_e, with f the share of choices, P the mean probability of an expert in a
    sequence and c its price; at prices of 1 it is 1 where they are even (Fedus et al. 2021,
    arXiv:2101.03961). It is least where both go as 1 / c."""
    return (chosen.mean(1) / active * p.mean(1) * price).sum(-1).mean() * p.shape[-1]


def z_loss(logits: Float[Array, "B T r"]) -> Float[Array, ""]:
    """(ln Z)^2 of the router's softmax (Zoph et al. 2022, arXiv:2202.08906)."""
    return jnp.square(jax.nn.logsumexp(logits, axis=-1)).mean()


def dropped(routes: Routes) -> Float[Array, ""]:
    """The share of choices that found their expert full, or that need no slot."""
    return (routes.slot == routes.token.shape[-1]).mean()


def _take(x: Array, index: Array) -> Array:
    """Rows of each sequence: [B, N, d] and [B, ...] of 0 to N -> [B, ..., d]; row N is zero."""
    return jax.vmap(lambda rows, i: rows.at[i].get(mode="fill", fill_value=0))(x, index)


# Each is the transpose of the other, so that forward and backward are both gathers: a scatter adds
# in no fixed order on some devices, and is slow on others.


@jax.custom_vjp
def dispatch(
    x: Float[Array, "B T d"], token: Int[Array, "B N"], slot: Int[Array, "B T a"]
) -> Float[Array, "B N d"]:
    """Every token to its slots."""
    return _take(x, token)


@jax.custom_vjp
def combine(
    y: Float[Array, "B N d"], token: Int[Array, "B N"], slot: Int[Array, "B T a"]
) -> Float[Array, "B T d"]:
    """The sum over the slots of each token."""
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
