"""The exponential moving average of the parameters, kept beside any optimizer's state.

    average <- average + (1 - d) / (1 - d^t) (theta_t - average),   t = 1, 2, ...

so that after t steps theta_i has the weight d^(t-i) (1 - d) / (1 - d^t): they sum to one, and the
parameters before the first step have none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array


class AverageState(NamedTuple):
    steps: Array  # int32: t
    average: Any
    inner: Any


def averaged(
    inner: optax.GradientTransformation, decay: float | Array
) -> optax.GradientTransformation:
    """The same updates, and a state that knows the average of what they lead to."""

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
