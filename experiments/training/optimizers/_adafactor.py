"""Adafactor (Shazeer and Stern 2018), without momentum and without the scale of the parameters.

    R <- b R + (1 - b) mean over outputs of g^2,    C <- b C + (1 - b) mean over inputs of g^2
    u = g / sqrt(R C / mean(R)),    u <- u / max(1, RMS(u)),    b = 1 - t^-0.8 at step t = 1, 2, ...

A weight is the matrix [fan_in, fan_out] of its letters, however small; layers of a stack and
experts are separate. A vector is a matrix of one row, so every square of it is kept. The RMS of the
parameter does not multiply the rate, so the update is as large as Adam's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from jax import Array

from scaling.parametrization.weight import Weight

EPSILON = 1e-30  # added to g^2
THRESHOLD = 1.0  # of the RMS of an update


def adafactor(weights: Any) -> optax.GradientTransformation:
    """The direction, for parameters described by the tree of `Weight`."""
    one = optax.chain(
        optax.scale_by_factored_rms(min_dim_size_to_factor=1, epsilon=EPSILON),
        optax.clip_by_block_rms(THRESHOLD),
    )
    return _by_layer(one, weights)


def _by_layer(one: optax.GradientTransformation, weights: Any) -> optax.GradientTransformation:
    """A transformation of one matrix [fan_in, fan_out], applied to each by itself.

    The state is a tuple by weight, with a leading axis over the matrices of a weight of several.
    """
    leaves: list[Weight]
    structure: Any
    leaves, structure = jax.tree.flatten(weights, is_leaf=lambda x: isinstance(x, Weight))

    def each(function: Callable[..., Any], states: Sequence[Any], *trees: Any) -> list[Any]:
        columns = [map(_matrix, leaves, structure.flatten_up_to(tree)) for tree in trees]
        return [
            (jax.vmap(function) if _several(weight) else function)(*values)
            for weight, *values in zip(leaves, *columns, *states, strict=True)
        ]

    def init(params: Any) -> tuple[Any, ...]:
        return tuple(each(one.init, (), params))

    def update(grads: Any, state: tuple[Any, ...], params: Any = None) -> tuple[Any, Any]:
        def step(grad: Array, theta: Array, own: Any) -> Any:
            return one.update(grad, own, theta)

        directions, states = zip(*each(step, (state,), grads, params), strict=True)
        made = structure.unflatten(directions)
        return jax.tree.map(lambda u, grad: u.reshape(grad.shape), made, grads), states

    return optax.GradientTransformation(init, update)


def _several(weight: Weight) -> bool:
    return weight.stacked > 0 or weight.copies > 1


def _matrix(weight: Weight, value: Array) -> Array:
    """[fan_in, fan_out], with all layers and experts before; a vector is a matrix of one row."""
    lead = (-1,) if _several(weight) else ()
    return value.reshape(*lead, weight.fan_in, weight.fan_out)
