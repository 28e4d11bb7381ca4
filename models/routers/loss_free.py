"""Each token goes to its highest sigmoids plus a bias, which evens out the load without a penalty.

    e = the a highest of s + b,    s = sigmoid(x W_router),    weight s_e
    b <- b - rate sign(f - a / r)

f is the share of tokens of an expert. bias_loss = sum_e b_e (f_e - a / r) has just this excess as
its gradient, and reaches nothing else. A normalised update, Adam's or Lion's, makes of it the
published step of fixed size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._loss_free import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="Wang et al. 2024, arXiv:2408.15664",
    weights={"router": ("router", "d->r"), "router_bias": ("bias", "->r")},
    penalties=("bias_loss",),
)
