"""Depth by copies of each layer beside itself: layer i is the parent's layer i L / L_child.

The direct growth of Du et al. 2024, arXiv:2405.15319, beside their stack.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.operations import Arrays, Blueprint, Operation, of_count
from experiments.operations._growth import by_layer, deeper, repeats


def interpolate(parents: Sequence[Arrays], plan: Blueprint) -> Arrays:
    before, after = repeats(plan)
    return by_layer(parents, plan, lambda i: i * before // after)


OPERATION = Operation(
    interpolate, keeps=(), refuses=of_count(1, deeper), states=("fresh", "mapped")
)
