"""Directions that several optimizers share."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import optax
from optax import GradientTransformation

from experiments.training.update import UpdateInputs, descend


def undo_epsilon(s: UpdateInputs) -> GradientTransformation:
    """Adam of g / c with epsilon is Adam of g with c * epsilon: a factor per tensor, exactly."""
    factors = s.factor(lambda rule: rule.epsilon)
    return optax.stateless(lambda g, params: jax.tree.map(lambda x, c: x / c, g, factors))


def adam(s: UpdateInputs) -> Sequence[GradientTransformation]:
    h = s.hypers
    return undo_epsilon(s), optax.scale_by_adam(h.beta1, h.beta2, h.epsilon)


def schedule_free(
    direction: Sequence[GradientTransformation], s: UpdateInputs
) -> GradientTransformation:
    """Averaging instead of a schedule (Defazio et al. 2024, arXiv:2405.15682).

        z <- z - eta_t (...),   x <- (1 - c) x + c z,   y = (1 - beta1) z + beta1 x

    The step of z is that of the direction, from gradients and decay at y; c is the share of eta_t^2
    in their sum so far. The parameters are y, and x is evaluated.
    """
    z_step = optax.chain(*direction, descend(s))
    return optax.contrib.schedule_free(z_step, s.rate, s.hypers.beta1)
