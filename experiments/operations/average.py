"""The weighted average of the parents' parameters (Wortsman et al. 2022, arXiv:2203.05482).

    theta = sum_i w_i theta_i / sum_i w_i

Uniform without weights. One parent gives itself, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.operations import Arrays, same_shapes
from scaling.common.errors import UserError


def operation(parents: Sequence[Arrays], *, weights: tuple[float, ...] = ()) -> Arrays:
    w = np.array(weights or (1.0,) * len(parents))
    if len(w) != len(parents):
        raise UserError(
            f"operation 'average': {len(w)} weights for {len(parents)} parents; give one for each"
        )
    if not np.isfinite(w).all() or w.sum() == 0:
        raise UserError(f"operation 'average': weights={weights}: their sum must not be 0")
    same_shapes("average", parents)
    shares = w / w.sum()
    made = {}
    for name in parents[0]:
        terms = (s * p[name].astype(np.float64) for s, p in zip(shares, parents, strict=True))
        made[name] = np.asarray(sum(terms), np.float32)
    return made
