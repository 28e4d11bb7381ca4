"""Each token goes to the experts of its a highest sigmoids, which are their weights (sigma-MoE).

    s = sigmoid(x W_router),    y = sum over the a highest of s_e expert_e(x)

Weights are not divided by their sum. The penalty entropy_loss keeps the choice even: ln r minus the
entropy of the mean softmax of the logits. There it is of a batch, here of each sequence. Theirs
drops no token: set `model.capacity_factor` to experts / experts_active.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._sigmoid import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="Csordas et al. 2023, arXiv:2310.10837; MoEUT: Csordas et al. 2024, arXiv:2405.16039",
    penalties=("entropy_loss",),
)
