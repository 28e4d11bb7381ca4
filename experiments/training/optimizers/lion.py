"""Lion (Chen et al. 2023, arXiv:2302.06675). Reads beta1 and beta2.

u = sign(beta1 m + (1 - beta1) g),   m <- beta2 m + (1 - beta2) g
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

    return optax.scale_by_lion(s.hypers.beta1, s.hypers.beta2), descend(s)


OPTIMIZER = Optimizer(chain, family="normalised", copies=1, reads=("beta1", "beta2"))
