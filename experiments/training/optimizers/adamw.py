"""AdamW (Loshchilov and Hutter 2019). Reads beta1, beta2 and epsilon.

    m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
    u =  m^ / (sqrt(v^) + epsilon * rule.epsilon)

m^ and v^ are m and v divided by 1 - beta^t, at step t = 1, 2, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    from experiments.training.optimizers._parts import adam
    from experiments.training.update import descend

    return *adam(s), descend(s)


OPTIMIZER = Optimizer(chain, family="normalised", copies=2, reads=("beta1", "beta2", "epsilon"))
