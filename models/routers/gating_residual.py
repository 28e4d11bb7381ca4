"""Each token goes to its most probable experts, by logits that take up those of the layer before.

    z_l = x W_l + z_(l-1) R_l,    p = softmax(z_l),    weight of expert e for token t: p_te

z_0 = 0. Depth is no time: a token sees its own logits alone, so the router is causal. Slots are
taken in the order of positions, as by top_k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._gating_residual import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="MoE++: Jin et al. 2024, arXiv:2410.07348",
    weights={"router": ("router", "d->r"), "residual": ("fixed", "r->r")},
    carries={"logits": "r"},
)
