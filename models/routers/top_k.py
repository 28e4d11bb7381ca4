"""Each token goes to its most probable experts, a of them, in the order of positions.

    p = softmax(x W_router),    weight of expert e for token t: p_te

Probabilities are not divided by their sum over a (Fedus et al. 2021). Slots of an expert are taken
in the order of positions. A token that finds them full is dropped: the expert adds nothing to it. A
token depends on those before it in its sequence alone, on no device and no microbatch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._top_k import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961",
)
