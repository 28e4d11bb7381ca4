"""Each token goes to the expert that a fixed hash of its id names, in every layer.

    e = hash(token) mod E,    weight 1

Of a active experts the others follow after the first, each of weight 1 / a. Nothing is learned and
nothing has a loss. A frequent token fills its expert, so a larger `model.capacity_factor` pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._hash import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="Roller et al. 2021, arXiv:2106.04426",
    weights={},
    tokens="read",
    penalties=(),
)
