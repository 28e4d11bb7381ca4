"""The weighted average of the parents' parameters (Wortsman et al. 2022, arXiv:2203.05482).

    theta = sum_i w_i theta_i / sum_i w_i

Uniform without weights. One parent gives itself, exactly. Of checkpoints along one run it stands
for a decay of the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, one_model


def average(
    parents: Sequence[Arrays], plan: Blueprint, *, weights: tuple[float, ...] = ()
) -> Arrays:
    w = np.array(weights or (1.0,) * len(parents))
    shares = w / w.sum()
    made = {}
    for name in parents[0]:
        terms = (s * p[name].astype(np.float64) for s, p in zip(shares, parents, strict=True))
        made[name] = np.asarray(sum(terms), np.float32)
    return made


def _refuses(plan: Blueprint, weights: tuple[float, ...], **_: Any) -> str:
    if weights and len(weights) != len(plan.parents):
        return f"{len(weights)} weights for {len(plan.parents)} parents; give one for each"
    if weights and (not np.isfinite(weights).all() or sum(weights) == 0):
        return f"weights={weights}: their sum must be finite and not 0"
    return one_model(plan)


OPERATION = Operation(average, keeps=("equals",), refuses=_refuses, states=("fresh", "mapped"))
