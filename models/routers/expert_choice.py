"""Experts choose tokens in training; in evaluation tokens choose experts.

    p = softmax(x W_router);    training: expert e takes the C tokens of a sequence with the highest
    p_te;    evaluation: each token goes to its a most probable experts;    weight p_te in both

Experts are full by design, and nothing has a loss. In training a token is taken or not by later
ones, so that teacher forcing would flatter it: `router_changed` is the share of its pairs of a
token and an expert that evaluation does not have, and the task `leak` measures the gain in loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._expert_choice import route

    return route


ROUTER = Router(
    route=route,
    causal=False,
    source="Zhou et al. 2022, arXiv:2202.09368",
    penalties=(),
    version=2,  # of 1 rounding chose among tokens of equal streams
)
