"""A student that begins fresh and learns from the logits of its parents all through its training.

    loss = (1 - share) CE + share T^2 KL(softmax(t / T) || softmax(s / T))

s are the student's logits, t the mean of the teachers', T the temperature (Hinton et al. 2015,
arXiv:1503.02531; two teachers as Timiryasov and Tastet 2023, arXiv:2308.02019). The recorded loss
is the cross-entropy. A run with teachers trains alone, in no population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.operations import Arrays, Blueprint, Operation


def distill(
    parents: Sequence[Arrays], plan: Blueprint, *, share: float = 0.5, temperature: float = 1.0
) -> Arrays:
    return plan.fresh()


def _refuses(plan: Blueprint, share: float, temperature: float) -> str:
    if not 0 <= share <= 1:
        return f"share={share}: must lie between 0 and 1"
    if not 0 < temperature < math.inf:
        return f"temperature={temperature}: must be positive and finite"
    ours = plan.child.config.vocab_size
    for number, teacher in enumerate(plan.parents, 1):
        if teacher.config.vocab_size != ours:
            return (
                f"teacher {number} has {teacher.config.vocab_size} logits, and the student "
                f"{ours}; set one model.vocab_size"
            )
    return ""


OPERATION = Operation(distill, keeps=(), refuses=_refuses)
