"""Tokens are shared out evenly in training; in evaluation each goes to its most probable experts.

    training    argmax over e of Pi_te,  Pi = diag(u) exp(logits) diag(v),  rows 1, columns T / r
    evaluation  argmax over e of the logits,        weight p = softmax(logits) in both

Pi is the plan of entropic optimal transport, by Sinkhorn's iteration within each sequence: so no
device and no microbatch changes it. BASE (Lewis et al. 2021) solves the assignment exactly. In
training the choice of a token depends on later ones; `router_changed` is the share of choices that
are not the argmax, and the task `leak` measures its gain in loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.part import Router


def route() -> Callable[[Any], Any]:
    """The function of `Seen`."""
    from models.routers._s_base import route

    return route


ROUTER = Router(
    route=route,
    causal=False,
    source="Clark et al. 2022, arXiv:2202.01169; BASE: Lewis et al. 2021, arXiv:2103.16716",
    penalties=("router_z_loss",),
)
