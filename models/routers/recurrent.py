"""Each token goes to its most probable experts, by a state that passes from layer to layer (RMoE).

    h_l = GRU(x_l W_l, h_(l-1)),    p = softmax(h_l V_l),    weight of expert e for token t: p_te

h_0 = 0, and all layers share one GRU (Cho et al. 2014) of 16 numbers at any width:

    u, s = sigmoid(x A + b + h C + c),    n = tanh(x A + b + s (h C + c)),    h' = (1 - u) n + u h

with A, b, C and c apart for u, s and n. Depth is no time: the router is causal. Slots are taken in
the order of positions, as by top_k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router

STATE = 16  # numbers of the state; fixed, so that no matrix of the GRU grows with the width


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._recurrent import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="RMoE: Qiu et al. 2024, arXiv:2408.06793",
    weights={"router": ("router", "d->y"), "choice": ("fixed", "y->r")},
    shared={
        "gates": ("fixed", "y->my"),
        "gates_back": ("fixed", "y->my"),
        "gates_bias": ("bias", "->my"),
        "gates_back_bias": ("bias", "->my"),
    },
    version=2,  # of 1 the state had model.head_dim numbers
    letters=lambda c: {"y": STATE, "m": 3},
    carries={"state": "y"},
)
