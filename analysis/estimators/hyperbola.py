"""Steps S to one loss against batch B, with the fewest steps S_min and the fewest tokens E_min:

    1 = S_min / S + E_min / (B S),   or   (S / S_min - 1) (E / E_min - 1) = 1 with E = B S

This is linear in S_min and E_min, and least squares in relative errors of S solves it. The critical
batch is E_min / S_min (McCandlish et al. 2018, arXiv 1812.06162).
"""

from __future__ import annotations

import numpy as np

from analysis.tables.points import Array


def solve(batch: Array, steps: Array, weights: Array) -> Array:
    """S_min and E_min, (R, 2), of n batches and steps under each weighting (R, n)."""
    design = np.stack([1 / steps, 1 / (batch * steps)], axis=1)
    size = np.linalg.norm(design, axis=0)
    scaled = design / size
    normal = np.einsum("rn,np,nq->rpq", weights, scaled, scaled)
    right = np.einsum("rn,np->rp", weights, scaled)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0] / size)


def falling(losses: Array) -> Array:
    """A loss curve (T,) made monotone: it never rises.

    Each value is the mean of the lowest so far and the highest to come.
    """
    so_far = np.minimum.accumulate(losses)
    to_come = np.maximum.accumulate(losses[::-1])[::-1]
    return np.asarray((so_far + to_come) / 2)
