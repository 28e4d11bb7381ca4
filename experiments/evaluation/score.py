"""Log-probabilities of chosen tokens of windows: the pure part of tasks by likelihood."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from models.module import Spec
from models.transformer import readout, stream
from models.weights import Params


def log_probabilities(spec: Spec, params: Params, windows: Array, scored: Array) -> Array:
    """ln p(token | those before it), summed over the scored tokens: [M, T+1], [M, T] -> [M].

    In nats. scored[m, t] counts the prediction of windows[m, t+1] from windows[m, :t+1].
    """
    logits = readout(spec, *stream(spec, params, windows[:, :-1])).astype(jnp.float32)
    labels = windows[:, 1:, None]
    found = jnp.take_along_axis(jax.nn.log_softmax(logits), labels, axis=-1)[..., 0]
    return jnp.where(scored, found, 0.0).sum(-1)
