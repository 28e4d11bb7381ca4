"""Designs: which (N, D) to train so that a law can be fitted and a bigger run predicted.

A design is a list of `Point`; it knows sizes and tokens, not configs or files. C = 6 N D, N total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaling.common.errors import UserError


@dataclass(frozen=True)
class Point:
    """One run to train: the index of its size, its tokens and its rung."""

    size: int
    tokens: int
    rung: int


def fixed_ratios(params: Sequence[int], ratios: Sequence[Iterable[float]]) -> list[Point]:
    """A ladder: size i is trained on D = r N_i tokens for each r in ratios[i]. Rung = size.

    Raises:
        UserError: not one row of ratios for each size.
    """
    if len(params) != len(ratios):
        raise UserError(f"ratios: {len(ratios)} rows for {len(params)} sizes; give one row a size")
    return [
        Point(size, round(ratio * N), rung=size)
        for size, (N, row) in enumerate(zip(params, ratios, strict=True))
        for ratio in row
    ]


def isoflop(
    params: Sequence[int], flops: Sequence[float], *, min_ratio: float, max_ratio: float
) -> list[Point]:
    """IsoFLOP profiles: for each budget C, every size whose D/N = C / (6 N^2) lies in the range.

    Rung = budget. The range keeps the parabola's sides. It leaves out runs too short to inform the
    fit or too long to afford (Hoffmann et al. 2022, approach 2).

    Raises:
        UserError: a budget for which no size lies in the range.
    """
    points = [
        Point(size, round(budget / (6 * N)), rung=rung)
        for rung, budget in enumerate(flops)
        for size, N in enumerate(params)
        if min_ratio <= budget / (6 * N * N) <= max_ratio
    ]
    for rung in sorted(set(range(len(flops))) - {point.rung for point in points}):
        raise UserError(
            f"flops[{rung}]={flops[rung]:.3g}: no size has {min_ratio:g} to {max_ratio:g} tokens "
            "per parameter at this budget; add sizes, or widen the range"
        )
    return points


def over_train(params: Sequence[int], optimal: float, factors: Sequence[float]) -> list[Point]:
    """Over-training: every size on D = m r N tokens, r the optimal D/N, m in factors. Rung = m.

    Models to be used cheaply are smaller than compute-optimal and trained for longer (Gadre et al.
    2024, arXiv:2403.08540, whose design has r = 20 and m up to 32).

    Raises:
        UserError: factors that do not increase.
    """
    if list(factors) != sorted(set(factors)):
        raise UserError(f"factors={tuple(factors)}: give them in increasing order, each once")
    return [
        Point(size, round(factor * optimal * N), rung=rung)
        for rung, factor in enumerate(factors)
        for size, N in enumerate(params)
    ]
