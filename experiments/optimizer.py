"""AdamW (Loshchilov and Hutter 2019) with every hyperparameter traced and every rule applied.

    g      <- clip(g, clip_norm)
    u      =  m^ / (sqrt(v^) + eps * rule.epsilon)
    theta  <- theta - eta_t * rule.learning_rate * (u + lambda * rule.weight_decay * theta)
    theta  <- theta - eta_t * rule.learning_rate * u - s_t * lambda * [decays] * theta

with coupled and with independent decay. eta_t = s_t * eta, s_t the schedule's fraction; [decays] is
0 for gains and biases, else 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax import Array

from experiments.hypers import Hypers
from scaling.parametrization import Rule, Weight

Params = Any


def rules(weights: Any, rule: Callable[[Weight], Rule]) -> Any:
    """The tree of `Rule`, one per parameter."""
    return jax.tree.map(rule, weights, is_leaf=lambda x: isinstance(x, Weight))


def adamw(hypers: Hypers, table: Any, decay: str, fraction: Array) -> optax.GradientTransformation:
    """The update of one step, as an optax transformation made from traced numbers.

    Args:
        table: tree of `Rule` shaped like the parameters.
        decay: "coupled" or "independent".
        fraction: s_t of this step.
    """

    def factor(pick: Callable[[Rule], float]) -> Any:
        return jax.tree.map(pick, table, is_leaf=lambda x: isinstance(x, Rule))

    def undo_epsilon(updates: Params, params: Params | None) -> Params:
        # Adam of g / c with eps is Adam of g with c * eps: a factor per tensor, exactly
        return jax.tree.map(lambda g, c: g / c, updates, factor(lambda r: r.epsilon))

    def descend(updates: Params, params: Params | None) -> Params:
        rate, lam = fraction * hypers.learning_rate, hypers.weight_decay

        def leaf(u: Array, theta: Array, rule: Rule) -> Array:
            if decay == "coupled":
                return -rate * rule.learning_rate * (u + lam * rule.weight_decay * theta)
            decays = float(rule.weight_decay > 0)
            return -rate * rule.learning_rate * u - fraction * lam * decays * theta

        return jax.tree.map(leaf, updates, params, table)

    return optax.chain(
        optax.clip_by_global_norm(hypers.clip_norm),
        optax.stateless(undo_epsilon),
        optax.scale_by_adam(hypers.beta1, hypers.beta2, hypers.epsilon),
        optax.stateless(descend),
    )
