"""Schedule-free SGD without momentum (Defazio et al. 2024). Reads beta1.

u = g, stepped and averaged as in _parts.schedule_free
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    from experiments.training.optimizers._parts import schedule_free

    return (schedule_free((), s),)


OPTIMIZER = Optimizer(chain, family="gradient", copies=1, reads=("beta1",), averages=True)
