"""Schedule-free AdamW without the first moment (Defazio et al. 2024). Reads beta1, beta2, epsilon.

u = g / (sqrt(v^) + epsilon * rule.epsilon), stepped and averaged as in _parts.schedule_free
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.config.optimizer import Optimizer

if TYPE_CHECKING:
    from experiments.training.update import UpdateInputs


def chain(s: UpdateInputs) -> Sequence[Any]:
    import optax

    from experiments.training.optimizers._parts import schedule_free, undo_epsilon

    h = s.hypers
    second = optax.scale_by_rms(h.beta2, h.epsilon, eps_in_sqrt=False, bias_correction=True)
    return (schedule_free((undo_epsilon(s), second), s),)


OPTIMIZER = Optimizer(
    chain, family="normalised", copies=2, reads=("beta1", "beta2", "epsilon"), averages=True
)
