"""Stochastic gradient descent with Nesterov's momentum. Reads momentum.

u = g + momentum b,   b <- momentum b + g
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    import optax

    from experiments.training.update import descend

    return optax.trace(s.hypers.momentum, nesterov=True), descend(s)


OPTIMIZER = Optimizer(chain, family="gradient", copies=1, reads=("momentum",))
