"""The update of one step by any optimizer, with every hyperparameter traced and every rule applied.

    g      <- g min(1, clip_norm / |g|),  |g|^2 = sum_i c_i |g_i|^2      of all parameters together
    u      =  direction(g)                             the optimizer's: the files below
    theta  <- theta - eta_t * rule.learning_rate * (u + lambda * rule.weight_decay * theta)
    theta  <- theta - eta_t * rule.learning_rate * u - s_t * lambda * [decays] * theta

with coupled and with independent decay. eta_t = s_t * eta, s_t the schedule's fraction; [decays] is
0 for gains and biases, else 1. c_i is 1; where the gradient is the update, rule.learning_rate, so
that |g|^2 is the fall of the loss per rate. This norm has the same size at every width, as the
steps must; the stored gradients scale as m^-1/2 in an embedding and as 1 in a matrix. No division
of a factor between a weight and its multiplier changes it.

The direction u is the optimizer's: experiments/training/optimizers/<name>.py has its formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from optax import GradientTransformation

from experiments.config.optimizer import MATRICES, TuningConfig, optimizer
from experiments.training.hypers import Hypers
from experiments.training.optimizers._tuning import tuned
from models.dense import TINY, to_ternary
from scaling.common.alphabet import parse
from scaling.parametrization.tables import Family, Rule
from scaling.parametrization.weight import Weight

Params = Any


def rules(weights: Any, rule: Callable[[Weight], Rule]) -> Any:
    """The tree of `Rule`, one per parameter."""
    return jax.tree.map(rule, weights, is_leaf=lambda x: isinstance(x, Weight))


@dataclass(frozen=True)
class UpdateInputs:
    """Numbers, weights and rules of the update of one step.

    Attributes:
        weights, rules: trees of `Weight` and `Rule` shaped like the parameters.
        decay: "coupled" or "independent".
        fraction: s_t of this step.
        zeros: "trained", or "kept" for matrices that were pruned.
        tuning: the numbers that are trained.
    """

    hypers: Hypers
    weights: Any
    rules: Any
    decay: str
    fraction: Array
    zeros: str = "trained"
    tuning: TuningConfig = TuningConfig()

    @property
    def rate(self) -> Array:
        """eta_t."""
        return self.fraction * self.hypers.learning_rate

    def factor(self, pick: Callable[[Rule], float]) -> Any:
        return jax.tree.map(pick, self.rules, is_leaf=lambda x: isinstance(x, Rule))


def clip(family: Family, s: UpdateInputs) -> GradientTransformation:
    """The gradients, all scaled alike where their norm exceeds `clip_norm`."""
    is_update = family == "gradient"
    roots = s.factor(lambda rule: rule.learning_rate**0.5 if is_update else 1.0)

    def shorten(grads: Params, params: Params | None) -> Params:
        norm = optax.tree.norm(jax.tree.map(lambda g, root: g * root, grads, roots))
        limit = s.hypers.clip_norm
        return jax.tree.map(lambda g: jnp.where(norm < limit, g, g / norm * limit), grads)

    return optax.stateless(shorten)


def descend(
    s: UpdateInputs, share: Callable[[Weight], Array | float] = lambda weight: 1.0
) -> GradientTransformation:
    """The change of the parameters from the direction, at a share of the rate for each weight."""

    def change(updates: Params, params: Params | None) -> Params:
        lam = s.hypers.weight_decay

        def leaf(u: Array, theta: Array, rule: Rule, weight: Weight) -> Array:
            rate = s.rate * share(weight)
            if s.decay == "coupled":
                return -rate * rule.learning_rate * (u + lam * rule.weight_decay * theta)
            decays = float(rule.weight_decay > 0)
            return -rate * rule.learning_rate * u - s.fraction * lam * decays * theta

        return jax.tree.map(leaf, updates, params, s.rules, s.weights)

    return optax.stateless(change)


def keep_zeros(weights: Any) -> GradientTransformation:
    """No gradient, and no change, of the values of the layers' matrices that are exactly 0."""

    def mask(updates: Params, params: Params | None) -> Params:
        def leaf(u: Array, theta: Array, weight: Weight) -> Array:
            prunable = weight.in_block and weight.role in MATRICES
            return jnp.where(theta == 0, 0, u) if prunable else u

        return jax.tree.map(leaf, updates, params, weights)

    return optax.stateless(mask)


class AverageState(NamedTuple):
    steps: Array  # int32: t
    average: Any
    inner: Any


def averaged(
    inner: optax.GradientTransformation, decay: float | Array
) -> optax.GradientTransformation:
    """The same updates, and a state with the average of the parameters after them.

    average <- average + (1 - d) / (1 - d^t) (theta_t - average),   t = 1, 2, ...

    After t steps theta_i has the weight d^(t-i) (1 - d) / (1 - d^t). The weights sum to one, and
    the parameters before the first step have none.
    """

    def init(params: Any) -> AverageState:
        return AverageState(jnp.int32(0), jax.tree.map(jnp.copy, params), inner.init(params))

    def update(grads: Any, state: AverageState, params: Any = None) -> tuple[Any, AverageState]:
        updates, within = inner.update(grads, state.inner, params)
        steps = state.steps + 1
        share = (1 - decay) / (1 - decay**steps)
        average = jax.tree.map(
            lambda mean, theta: mean + share * (theta - mean),
            state.average,
            optax.apply_updates(params, updates),
        )
        return updates, AverageState(steps, average, within)

    return optax.GradientTransformation(init, update)


def update(name: str, evaluated: str, s: UpdateInputs) -> GradientTransformation:
    """The update of one step, as an optax transformation made from traced numbers.

    Args:
        evaluated: "last", or "ema" to keep the average of the parameters for evaluation.
    """
    found = optimizer(name)
    # before, so that the optimizer's state stays 0 there, and after
    kept = (keep_zeros(s.weights),) if s.zeros == "kept" else ()

    def parts(s: UpdateInputs) -> tuple[GradientTransformation, ...]:
        return clip(found.family, s), *found.chain(s)

    if s.tuning.method == "all":
        inner = parts(s)
    else:
        inner = (tuned(s.tuning, lambda s: optax.chain(*parts(s)), s),)
    chain = optax.chain(*kept, *inner, *kept)
    return averaged(chain, s.hypers.ema_decay) if evaluated == "ema" else chain


def evaluated(state: Any, params: Params) -> Params:
    """The parameters to evaluate: an average that the optimizer's state holds, or the last."""
    if isinstance(state, AverageState):
        return state.average
    for part in state:
        if isinstance(part, optax.contrib.ScheduleFreeState):
            return optax.contrib.schedule_free_eval_params(part, params)
    return params


def _to_integers(bits: int, w: Array, leading: int, inputs: int) -> Array:
    """s round(w / s), s = max |w| / (2^(bits - 1) - 1) over the inputs of each output."""
    axes = tuple(range(leading, leading + inputs))
    scale = jnp.abs(w).max(axes, keepdims=True) / (2 ** (bits - 1) - 1) + TINY
    return scale * jnp.round(w / scale)


ROUNDINGS: Mapping[str, Callable[[Array, int, int], Array]] = {
    "int8": partial(_to_integers, 8),
    "int4": partial(_to_integers, 4),
    "ternary": lambda w, leading, inputs: to_ternary(w, leading),
}


def rounded(how: str, weights: Any, params: Any, share: Array | float = 1.0) -> Any:
    """(1 - share) theta + share Q(theta) of the layers' matrices.

    The gradient there is that of theta, straight through (Bengio et al. 2013, arXiv:1308.3432).

    Args:
        how: a key of `ROUNDINGS`, or "none".
        weights: the tree of `Weight`.
    """
    if how == "none":
        return params

    def leaf(theta: Array, weight: Weight) -> Array:
        if not (weight.in_block and weight.role in MATRICES):
            return theta
        copies, inputs, _ = parse(weight.letters)
        to = ROUNDINGS[how](theta, len(copies) + bool(weight.stacked), len(inputs))
        return (1 - share) * theta + share * to

    return jax.tree.map(leaf, params, weights)
