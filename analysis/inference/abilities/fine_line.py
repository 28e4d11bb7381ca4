"""Similarity of learning curves between sizes, for each measure of an ability.

    z = (y - mean y) / sd y                   the curve of a size over its checkpoints
    similarity = 1 - mean |z_i - z_j| / (mean |z_i| + mean |z_j|)

It is 1 of curves of one shape and 0 of mirrored ones. A measure whose curve at a small size
resembles that at a large one lets the small one stand for it (Fine Line). Curves of two seeds of
one size are the ceiling. A curve that does not move has no shape: nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.breaks import measures
from scaling.common.errors import UserError

LEAST = 3  # checkpoints of a curve


@dataclass(frozen=True)
class Similarity:
    """Mean similarity of neighbouring sizes, of the least with the largest, and of seeds."""

    measure: str
    neighbours: float
    ends: float
    seeds: float


def similarities(checkpoints: Sequence[Answers]) -> tuple[Similarity, ...]:
    """Of each measure, from the answers of the same runs at checkpoints in order.

    Raises:
        UserError: fewer than three checkpoints, or one size.
    """
    if len(checkpoints) < LEAST:
        raise UserError(
            f"{len(checkpoints)} checkpoints at steps that all runs have answered; curves need "
            f"{LEAST}: "
            "windtunnel evaluate FOLDER --checkpoints all"
        )
    params = checkpoints[0].params
    sizes = np.unique(params)
    if len(sizes) < 2:
        raise UserError("one size: there is no other to resemble")
    found = []
    for name in measures(checkpoints[0]):
        runs = np.stack([measures(each)[name].mean(1) for each in checkpoints], 1)  # [R, T]
        means = [runs[params == size].mean(0) for size in sizes]
        near = [similar(a, b) for a, b in pairwise(means)]
        seeds = [similar(a, b) for size in sizes for a, b in combinations(runs[params == size], 2)]
        found.append(Similarity(name, _mean(near), similar(means[0], means[-1]), _mean(seeds)))
    return tuple(found)


def similar(a: Array, b: Array) -> float:
    """1 of curves of one shape, 0 of mirrored ones."""
    if not (a.std() > 0 and b.std() > 0):
        return float("nan")
    z, w = ((each - each.mean()) / each.std() for each in (a, b))
    return float(1 - np.abs(z - w).mean() / (np.abs(z).mean() + np.abs(w).mean()))


def _mean(values: Sequence[float]) -> float:
    known = [each for each in values if not np.isnan(each)]
    return float(np.mean(known)) if known else float("nan")
