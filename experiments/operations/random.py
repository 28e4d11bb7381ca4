"""Depth and width by the child's own draw, with the parent's arrays in the corners.

The random growth of Du et al. 2024, arXiv:2405.15319, which keeps nothing of the function.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.operations import Arrays, Blueprint, Operation, of_count
from experiments.operations._growth import corners, wider


def random(parents: Sequence[Arrays], plan: Blueprint) -> Arrays:
    return corners(parents, plan)


OPERATION = Operation(random, keeps=(), refuses=of_count(1, wider))
