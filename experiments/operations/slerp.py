"""Spherical interpolation of two runs, array by array (Shoemake 1985).

    theta = sin((1 - t) w) / sin(w) theta_1 + sin(t w) / sin(w) theta_2,   w their angle

A straight line where the angle is less than 1e-4. Arrays of one norm keep it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, of_count, one_model

LEAST = 1e-4  # radians


def slerp(parents: Sequence[Arrays], plan: Blueprint, *, t: float = 0.5) -> Arrays:
    made = {}
    for name in parents[0]:
        a, b = (p[name].astype(np.float64) for p in parents)
        length = np.linalg.norm(a) * np.linalg.norm(b)
        cosine = float(np.clip((a * b).sum() / length, -1, 1)) if length else 1.0
        angle = math.acos(cosine)
        shares = (1 - t, t)
        if LEAST < angle < math.pi - LEAST:
            shares = (math.sin((1 - t) * angle), math.sin(t * angle))
            shares = (shares[0] / math.sin(angle), shares[1] / math.sin(angle))
        made[name] = np.asarray(shares[0] * a + shares[1] * b, np.float32)
    return made


def _refuses(plan: Blueprint, t: float, **_: Any) -> str:
    return one_model(plan) if 0 <= t <= 1 else f"t={t}: must lie between 0 and 1"


OPERATION = Operation(slerp, keeps=("equals", "norm"), refuses=of_count(2, _refuses))
