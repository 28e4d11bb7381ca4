"""The choice of experts is a policy, trained by REINFORCE with a learned baseline.

    e ~ pi = softmax(x W_router) in training, the most probable in evaluation;    weight 1 / a
    policy_loss = -mean (R - b) ln pi(e),    baseline_loss = mean (R - b)^2,    b = x w_baseline

The reward R of a token is the log-probability of the one after it. No gradient of the reward
reaches x. Noise of the draw is a hash of the tokens so far and of the layer, so that a run stays a
function of its data; a window seen twice has the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._rl_r import route

    return route


ROUTER = Router(
    route=route,
    causal=True,
    source="Clark et al. 2022, arXiv:2202.01169, from its summary: details of theirs may differ",
    weights={"router": ("router", "d->r"), "baseline": ("router", "d->")},
    tokens="read",
    carries={"layer": ""},
    penalties=("balance_loss", "policy_loss", "baseline_loss"),
)
