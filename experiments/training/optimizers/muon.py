"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for all others.

    u = 0.2 sqrt(max(fan_in, fan_out)) orthogonal(momentum of g)

Reads momentum; and beta1, beta2 and epsilon as AdamW does, whose rate is adamw_rate times the
learning rate. _muon.py has its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import MATRICES, Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    from experiments.training.optimizers._muon import muon
    from experiments.training.optimizers._parts import adam
    from experiments.training.update import descend

    undo, direction = adam(s)  # Muon does not see the scale of a gradient
    steps = descend(s, lambda weight: 1.0 if weight.role in MATRICES else s.hypers.adamw_rate)
    return undo, muon(s.weights, s.hypers.momentum, elsewhere=direction), steps


OPTIMIZER = Optimizer(chain, family="normalised", copies=2, matrices="orthogonal")
