"""Task arithmetic: the first parent plus the others' differences from it.

    theta = theta_1 + scale * sum_{i > 1} (theta_i - theta_1)

Ilharco et al. 2023, arXiv:2212.04089. A negative scale unlearns; scale 0 is the first parent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.operations import Arrays, Blueprint, Operation, one_base


def task_arithmetic(parents: Sequence[Arrays], plan: Blueprint, *, scale: float = 1.0) -> Arrays:
    base, *others = parents
    made = {}
    for name, array in base.items():
        start = array.astype(np.float64)
        change = sum((other[name] - start for other in others), np.zeros_like(start))
        made[name] = np.asarray(start + scale * change, np.float32)
    return made


OPERATION = Operation(task_arithmetic, keeps=("equals",), refuses=one_base)
