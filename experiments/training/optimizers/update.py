"""The update of one step by any optimizer, with every hyperparameter traced and every rule applied.

    g      <- g min(1, clip_norm / |g|),  |g|^2 = sum_i c_i |g_i|^2      of all parameters together
    u      =  direction(g)                             the optimizer's: the table below
    theta  <- theta - eta_t * rule.learning_rate * (u + lambda * rule.weight_decay * theta)
    theta  <- theta - eta_t * rule.learning_rate * u - s_t * lambda * [decays] * theta

with coupled and with independent decay. eta_t = s_t * eta, s_t the schedule's fraction; [decays] is
0 for gains and biases, else 1. c_i is 1; where the gradient is the update, rule.learning_rate, so
that |g|^2 is the fall of the loss per rate. It has the same size at every width, as the steps must
have that it cuts, where the stored gradients of an embedding and of a matrix go with the width as
m^-1/2 and 1; and it does not see how a factor is shared out between a weight and its multiplier.

Directions, and what they read:

    adamw          u = m^ / (sqrt(v^) + epsilon * rule.epsilon)                beta1 beta2 epsilon
                   Loshchilov and Hutter 2019
    sgd            u = b,  b <- momentum b + g                                 momentum
    sgd_nesterov   u = g + momentum b,  b the same                             momentum
    lion           u = sign(beta1 m + (1 - beta1) g),                          beta1 beta2
                   m <- beta2 m + (1 - beta2) g    Chen et al. 2023
    adafactor      u = g / sqrt(row column / mean(row)), clipped to RMS 1      nothing: adafactor.py
    muon           u = 0.2 sqrt(max(fan_in, fan_out)) orthogonal(momentum of g) of hidden matrices,
                   else that of adamw                  momentum; beta1 beta2 epsilon: muon.py

The schedule-free ones (Defazio et al. 2024, optax.contrib.schedule_free) step z along the direction
of SGD without momentum, or of Adam without its first moment, from gradients and decay at y:

    z <- z - eta_t (...),   x <- (1 - c) x + c z,   y = (1 - beta1) z + beta1 x

with c the share of eta_t^2 in their sum so far. The parameters are y, and x is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from optax import GradientTransformation

from experiments.config.optimizer import KINDS, Name
from experiments.training.hypers import Hypers
from experiments.training.optimizers.adafactor import adafactor
from experiments.training.optimizers.average import AverageState, averaged
from experiments.training.optimizers.muon import muon
from scaling.parametrization.tables import Rule
from scaling.parametrization.weight import Weight

Params = Any


def rules(weights: Any, rule: Callable[[Weight], Rule]) -> Any:
    """The tree of `Rule`, one per parameter."""
    return jax.tree.map(rule, weights, is_leaf=lambda x: isinstance(x, Weight))


@dataclass(frozen=True)
class Step:
    """What the update of one step is made from.

    Attributes:
        weights, rules: trees of `Weight` and `Rule` shaped like the parameters.
        decay: "coupled" or "independent".
        fraction: s_t of this step.
    """

    hypers: Hypers
    weights: Any
    rules: Any
    decay: str
    fraction: Array

    @property
    def rate(self) -> Array:
        """eta_t."""
        return self.fraction * self.hypers.learning_rate

    def factor(self, pick: Callable[[Rule], float]) -> Any:
        return jax.tree.map(pick, self.rules, is_leaf=lambda x: isinstance(x, Rule))


def clip(name: Name, s: Step) -> GradientTransformation:
    """The gradients, all shortened alike where they are longer than `clip_norm`."""
    is_update = KINDS[name].family == "gradient"
    roots = s.factor(lambda rule: rule.learning_rate**0.5 if is_update else 1.0)

    def shorten(grads: Params, params: Params | None) -> Params:
        norm = optax.tree.norm(jax.tree.map(lambda g, root: g * root, grads, roots))
        limit = s.hypers.clip_norm
        return jax.tree.map(lambda g: jnp.where(norm < limit, g, g / norm * limit), grads)

    return optax.stateless(shorten)


def descend(s: Step) -> GradientTransformation:
    """From the direction to the change of the parameters."""

    def change(updates: Params, params: Params | None) -> Params:
        lam = s.hypers.weight_decay

        def leaf(u: Array, theta: Array, rule: Rule) -> Array:
            if s.decay == "coupled":
                return -s.rate * rule.learning_rate * (u + lam * rule.weight_decay * theta)
            decays = float(rule.weight_decay > 0)
            return -s.rate * rule.learning_rate * u - s.fraction * lam * decays * theta

        return jax.tree.map(leaf, updates, params, s.rules)

    return optax.stateless(change)


def _undo_epsilon(s: Step) -> GradientTransformation:
    """Adam of g / c with epsilon is Adam of g with c * epsilon: a factor per tensor, exactly."""
    factors = s.factor(lambda rule: rule.epsilon)
    return optax.stateless(lambda g, params: jax.tree.map(lambda x, c: x / c, g, factors))


def _adam(s: Step) -> Sequence[GradientTransformation]:
    h = s.hypers
    return _undo_epsilon(s), optax.scale_by_adam(h.beta1, h.beta2, h.epsilon)


def _adam_without_momentum(s: Step) -> Sequence[GradientTransformation]:
    h = s.hypers
    second = optax.scale_by_rms(h.beta2, h.epsilon, eps_in_sqrt=False, bias_correction=True)
    return _undo_epsilon(s), second


def _muon(s: Step) -> Sequence[GradientTransformation]:
    undo, adam = _adam(s)  # the scale of a gradient is nothing to Muon
    return undo, muon(s.weights, s.hypers.momentum, elsewhere=adam)


def _schedule_free(direction: Sequence[GradientTransformation], s: Step) -> GradientTransformation:
    z_step = optax.chain(*direction, descend(s))
    return optax.contrib.schedule_free(z_step, s.rate, s.hypers.beta1)


MAKERS: Mapping[Name, Callable[[Step], Sequence[GradientTransformation]]] = {
    "adamw": lambda s: (*_adam(s), descend(s)),
    "sgd": lambda s: (optax.trace(s.hypers.momentum), descend(s)),
    "sgd_nesterov": lambda s: (optax.trace(s.hypers.momentum, nesterov=True), descend(s)),
    "lion": lambda s: (optax.scale_by_lion(s.hypers.beta1, s.hypers.beta2), descend(s)),
    "adafactor": lambda s: (adafactor(s.weights), descend(s)),
    "muon": lambda s: (*_muon(s), descend(s)),
    "schedule_free_sgd": lambda s: (_schedule_free((), s),),
    "schedule_free_adamw": lambda s: (_schedule_free(_adam_without_momentum(s), s),),
}


def update(name: Name, evaluated: str, s: Step) -> GradientTransformation:
    """The update of one step, as an optax transformation made from traced numbers.

    Args:
        evaluated: "last", or "ema" to keep the average of the parameters that is to be evaluated.
    """
    chain = optax.chain(clip(name, s), *MAKERS[name](s))
    return averaged(chain, s.hypers.ema_decay) if evaluated == "ema" else chain


def evaluated(state: Any, params: Params) -> Params:
    """The parameters to evaluate: an average that the optimizer's state holds, or the last."""
    if isinstance(state, AverageState):
        return state.average
    for part in state:
        if isinstance(part, optax.contrib.ScheduleFreeState):
            return optax.contrib.schedule_free_eval_params(part, params)
    return params
