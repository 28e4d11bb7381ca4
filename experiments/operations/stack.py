"""Depth by copies of the whole stack: layer i is the parent's layer i mod L.

G_stack of Du et al. 2024, arXiv:2405.15319; a growth factor of 4 and a fresh optimizer there.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.operations import Arrays, Blueprint, Operation, of_count
from experiments.operations._growth import by_layer, deeper, repeats


def stack(parents: Sequence[Arrays], plan: Blueprint) -> Arrays:
    before, _ = repeats(plan)
    return by_layer(parents, plan, lambda i: i % before)


OPERATION = Operation(stack, keeps=(), refuses=of_count(1, deeper), states=("fresh", "mapped"))
