"""Muon (Jordan et al. 2024) for hidden matrices, another optimizer for all other parameters.

    m <- mu m + (1 - mu) g                                   and Nesterov's look ahead of it
    u =  0.2 sqrt(max(fan_in, fan_out)) NS5(m)

NS5, five Newton-Schulz steps, brings all singular values near 1. The factor brings the RMS of u
near AdamW's 0.2: so one learning rate and one decay can serve all parameters (Liu et al. 2025,
arXiv:2502.16982). A weight is the matrix [fan_in, fan_out] of its letters; layers of a stack and
experts are separate.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from optax.contrib import MuonDimensionNumbers

from experiments.config.optimizer import MATRICES
from scaling.common.alphabet import parse
from scaling.parametrization.weight import Weight

RMS = 0.2


def muon(
    weights: Any, momentum: float | Array, elsewhere: optax.GradientTransformation
) -> optax.GradientTransformation:
    """The direction, for parameters described by the tree of `Weight`."""

    def by_weight(pick: Any) -> Any:
        return jax.tree.map(pick, weights, is_leaf=lambda x: isinstance(x, Weight))

    matrices = by_weight(lambda w: _matrix(w) if w.role in MATRICES else optax.MaskedNode())
    sizes = by_weight(lambda w: _size(w) if w.role in MATRICES else optax.MaskedNode())
    orthogonal = optax.chain(
        optax.contrib.scale_by_muon(beta=momentum, weight_dimension_numbers=matrices),
        optax.stateless(lambda updates, params: jax.tree.map(jnp.multiply, updates, sizes)),
    )
    parts = {"muon": orthogonal, "elsewhere": elsewhere}
    return optax.partition(
        parts, by_weight(lambda w: "muon" if w.role in MATRICES else "elsewhere")
    )


def _matrix(weight: Weight) -> MuonDimensionNumbers:
    copies, inputs, outputs = parse(weight.letters)
    first = int(weight.stacked > 0) + len(copies)
    middle = first + len(inputs)
    return MuonDimensionNumbers(
        tuple(range(first, middle)), tuple(range(middle, middle + len(outputs)))
    )


def _size(weight: Weight) -> float:
    """The factor that brings the entries of an orthogonal matrix to RMS 0.2."""
    return RMS * max(weight.fan_in, weight.fan_out) ** 0.5
