"""Predictors of a loss that need no training: of the parameters at the start and some windows.

Letters: W windows of T + 1 tokens; n parameters.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.evaluation.score import log_probabilities
from models.module import Spec
from models.weights import Params


class Predictors(NamedTuple):
    """Scores of a model, each a float32 scalar.

    Attributes:
        gradsign: sum_n |sum_w sign(d loss_w / d theta_n)|, at most n W; greater where samples
            agree on the direction of the parameters (Zhang and Jia 2021, arXiv:2110.08616).
        gradient_norm: of the mean gradient.
        initial_loss: nats per token, mean over the windows.
    """

    gradsign: Array
    gradient_norm: Array
    initial_loss: Array


def predictors(spec: Spec, params: Params, windows: Array) -> Predictors:
    """The scores over [W, T+1] int32 windows; a window is a sample.

    Memory holds one window's activations, and two trees of the parameters' size.
    """

    def one(window: Array) -> tuple[Array, Params]:
        return jax.value_and_grad(partial(_loss, spec))(params, window)

    def add(total: tuple[Array, Params, Params], window: Array) -> tuple[tuple, None]:
        loss, gradient = one(window)
        signs = jax.tree.map(lambda g: jnp.sign(g.astype(jnp.float32)), gradient)
        return jax.tree.map(jnp.add, total, (loss, signs, gradient)), None

    zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), params)
    (loss, signs, gradient), _ = jax.lax.scan(add, (jnp.float32(0), zeros, zeros), windows)
    squares = sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))
    return Predictors(
        gradsign=jnp.asarray(sum(jnp.abs(s).sum() for s in jax.tree.leaves(signs))),
        gradient_norm=jnp.sqrt(squares) / len(windows),
        initial_loss=loss / len(windows),
    )


def _loss(spec: Spec, params: Params, window: Array) -> Array:
    """Mean cross-entropy of one window [T+1], in nats per token."""
    scored = jnp.ones((1, window.size - 1), bool)
    return -log_probabilities(spec, params, window[None], scored)[0] / (window.size - 1)
