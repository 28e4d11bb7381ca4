"""Width by copies of every feature, heads and feed-forward too, whose next weights share it.

    outputs are copied r times,   inputs are w_c theta with sum_c w_c = 1

The function is the parent's. Shares between 1 - uneven and 1 + uneven, before their sum is 1, let
the copies learn apart. Chen et al. 2016, arXiv:1511.05641 (Net2Net).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, _growth, of_count
from scaling.common.alphabet import parse


def split(parents: Sequence[Arrays], plan: Blueprint, *, uneven: float = 0.5) -> Arrays:
    rng, made = plan.rng, {}
    for name in sorted(plan.child.weights):
        weight, array = plan.child.weights[name], parents[0][name].astype(np.float64)
        copies, inputs, _ = parse(weight.letters)
        for axis, length in enumerate(weight.shape):
            times = length // array.shape[axis]
            if times == 1:
                continue
            array = np.repeat(array, times, axis)
            if len(copies) <= axis < len(copies + inputs):
                sides = (*array.shape[:axis], -1, times, *array.shape[axis + 1 :])
                shares = rng.uniform(1 - uneven, 1 + uneven, array.shape).reshape(sides)
                shares /= shares.sum(axis + 1, keepdims=True)
                array = array * shares.reshape(array.shape)
        factor = plan.parents[0].multipliers[name] / plan.child.multipliers[name]
        made[name] = np.asarray(array * factor, np.float32)
    return made


def _refuses(plan: Blueprint, uneven: float, **_: Any) -> str:
    if not 0 <= uneven < 1:
        return f"uneven={uneven}: must be at least 0 and below 1"
    return _growth.split(plan)


OPERATION = Operation(split, keeps=("function",), refuses=of_count(1, _refuses))
