"""Matrices of the layers as a model in training sees them: rounded, or on the way there.

    seen = (1 - share) theta + share Q(theta)

The gradient at `seen` is that of theta, straight through (Bengio et al. 2013, arXiv:1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from experiments.config.optimizer import MATRICES
from models.dense import TINY, to_ternary
from scaling.common.alphabet import parse
from scaling.parametrization.weight import Weight


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
    """Parameters with a share of the rounding of the layers' matrices.

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
