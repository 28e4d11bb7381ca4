"""TIES: differences from the first parent, trimmed, with one sign, averaged where they have it.

    tau_i = the share `keep` of theta_i - theta_1 that is greatest, array by array
    s     = sign sum_i tau_i,  + where that is 0
    theta = theta_1 + scale * mean of the tau_i != 0 of sign s

Yadav et al. 2023, arXiv:2306.01708.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.operations import Arrays, Blueprint, Operation, one_base


def ties(
    parents: Sequence[Arrays], plan: Blueprint, *, keep: float = 0.2, scale: float = 1.0
) -> Arrays:
    base, *others = parents
    made = {}
    for name, array in base.items():
        start = array.astype(np.float64)
        trimmed = np.stack([_trim(other[name] - start, keep) for other in others])
        sign = np.where(trimmed.sum(0) >= 0, 1.0, -1.0)
        agree = trimmed * sign > 0
        mean = (trimmed * agree).sum(0) / np.maximum(agree.sum(0), 1)
        made[name] = np.asarray(start + scale * mean, np.float32)
    return made


def _trim(change: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """The greatest of an array's values, the others 0."""
    count = round(keep * change.size)
    if count == change.size:
        return change
    found = np.zeros(change.size)
    best = np.argsort(-np.abs(change), axis=None, kind="stable")[:count]
    found[best] = change.ravel()[best]
    return found.reshape(change.shape)


def _refuses(plan: Blueprint, keep: float, **_: Any) -> str:
    if not 0 < keep <= 1:
        return f"keep={keep}: must be positive and at most 1"
    return one_base(plan) if len(plan.parents) > 1 else "1 parent; give the base and others"


OPERATION = Operation(ties, keeps=("equals",), refuses=_refuses)
