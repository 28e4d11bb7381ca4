"""The layer of experts: it gathers tokens into the slots of experts, and sums them back.

Slots of a sequence are numbered e C + c, for slot c of expert e; N of them in all.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Int

from models import part
from models.dense import dense
from models.ffn._mlp import Mlp
from models.module import ROUTERS, Module


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


class Experts(Module):
    """Several `Mlp`, some of them for each token.

    Each device gathers its tokens into slots. An all-to-all brings the slots of each expert to the
    devices that have its weights, and another brings them back.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B T d"]) -> Float[Array, "B T d"]:
        c, T = self.spec.config, x.shape[1]
        # in float32 at any compute dtype, for one rounding may change the choice
        router = self.weight("router", "router", "d->r").astype(jnp.float32)
        with jax.default_matmul_precision("highest"):
            logits = dense(x.astype(jnp.float32), router, "d->r", self.spec.program.backward)
        logits = self.lay(logits, "BTr")
        self.tap("router", lambda: logits)
        route = part.router(c.router).route
        routes, found = route(x, logits, c.experts_active, c.capacity(T))
        self.tap("routing", lambda: found, ROUTERS)
        slots = dispatch(x, routes.token, routes.slot).reshape(len(x), c.experts, -1, c.width)
        slots = self.lay(self.lay(slots, "BrCd").swapaxes(0, 1), "eBCd")
        slots = Mlp(self.spec, "e,", name="experts")(slots).swapaxes(0, 1)
        y = self.lay(slots, "BrCd").reshape(len(x), -1, c.width)
        y *= routes.weight[..., None].astype(x.dtype)
        return self.lay(combine(y, routes.token, routes.slot), "BTd")
