"""Depth and width by parts whose output is zero: the child computes the parent's function.

New layers, heads, feed-forward features and stream features begin as the child's own draw, but for
all that they add to the stream. A norm over d' > d features, d' - d of them zero, has d / d' of the
mean square: gains of old features are scaled by sqrt(d / d'), exactly but for the norm's epsilon.
Du et al. 2024, arXiv:2405.15319.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, of_count
from experiments.operations._growth import corner, corners, same_function
from scaling.common.alphabet import parse


def zero(parents: Sequence[Arrays], plan: Blueprint) -> Arrays:
    made, parent = corners(parents, plan), parents[0]
    old, new = plan.parents[0].config, plan.child.config
    for name, weight in plan.child.weights.items():
        _, _, outputs = parse(weight.letters)
        array = made[name]
        if outputs != "d":
            continue
        if weight.role == "gain":
            if name in parent:
                array[corner(parent[name])] *= np.sqrt(np.float32(old.width / new.width))
            continue
        kept = array[corner(parent[name])].copy() if name in parent else None
        array[...] = 0
        if kept is not None:
            array[corner(kept)] = kept
    return made


OPERATION = Operation(zero, keeps=("function",), refuses=of_count(1, same_function))
