"""DARE: differences from the first parent, most of them dropped at random, the rest scaled up.

    theta = theta_1 + scale * sum_{i > 1} m_i (theta_i - theta_1) / (1 - drop)

with m_i = 0 at the probability `drop`, else 1. Yu et al. 2024, arXiv:2311.03099.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, one_base


def dare(
    parents: Sequence[Arrays], plan: Blueprint, *, drop: float = 0.9, scale: float = 1.0
) -> Arrays:
    base, *others = parents
    rng, made = plan.rng, {}
    for name in sorted(base):
        start = base[name].astype(np.float64)
        change = np.zeros_like(start)
        for other in others:
            change += (rng.random(start.shape) >= drop) * (other[name] - start) / (1 - drop)
        made[name] = np.asarray(start + scale * change, np.float32)
    return made


def _refuses(plan: Blueprint, drop: float, **_: Any) -> str:
    return one_base(plan) if 0 <= drop < 1 else f"drop={drop}: must be at least 0 and below 1"


OPERATION = Operation(dare, keeps=("equals",), refuses=_refuses)
