"""Post-training quantization of the matrices in the layers, symmetric, by the greatest magnitude.

    s = max |theta| / (2^(bits - 1) - 1) of each output,   theta <- s round(theta / s)

The values stay float32: the loss is that of the rounded weights. One scale for each output of a
matrix (Dettmers et al. 2022, arXiv:2208.07339, for weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, of_count, one_model
from experiments.operations.prune import is_matrix
from scaling.common.alphabet import parse

MOST = 16


def quantize(parents: Sequence[Arrays], plan: Blueprint, *, bits: int = 8) -> Arrays:
    steps, made = 2 ** (bits - 1) - 1, dict(parents[0])
    for name, weight in plan.child.weights.items():
        if not is_matrix(weight):
            continue
        copies, inputs, _ = parse(weight.letters)
        axes = tuple(range(len(copies), len(copies + inputs)))
        array = parents[0][name].astype(np.float64)
        scale = np.abs(array).max(axes, keepdims=True) / steps
        scale = np.where(scale > 0, scale, 1.0)
        made[name] = np.asarray(scale * np.round(array / scale), np.float32)
    return made


def _refuses(plan: Blueprint, bits: int, **_: Any) -> str:
    return one_model(plan) if 2 <= bits <= MOST else f"bits={bits}: must lie between 2 and {MOST}"


OPERATION = Operation(quantize, keeps=("maximum",), refuses=of_count(1, _refuses))
