"""Learning-rate schedules: the fraction of the peak at step t = 0 .. S-1, with traced lengths.

    fraction(t) = min(1, (t+1)/W) * shape(x),   x = clip((t - (S - Z)) / Z, 0, 1)

W warm-up steps, Z decay steps, S all steps. Linear and cosine decay over Z = S - W, WSD over a
chosen Z. The first step moves (fraction 1/W, not 0) and x = 1, the final fraction, would be step S.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array

from experiments.hypers import Hypers

Shape = Callable[[Array, Array], Array]


def _line(x: Array, final: Array) -> Array:
    return 1 - (1 - final) * x


def _cosine(x: Array, final: Array) -> Array:
    return final + (1 - final) * (1 + jnp.cos(jnp.pi * x)) / 2


SHAPES: Mapping[str, Shape] = {
    "linear": _line,
    "cosine": _cosine,
    "wsd": _line,
    "constant": lambda x, final: jnp.ones_like(x),
}


def fraction(name: str, step: Array, hypers: Hypers) -> Array:
    """The fraction of the peak learning rate at `step`; scalar in [0, 1]."""
    t = jnp.asarray(step, jnp.float32)
    warm = jnp.minimum(1.0, (t + 1) / jnp.maximum(hypers.warmup_steps, 1.0))
    start = hypers.total_steps - hypers.decay_steps
    x = jnp.clip((t - start) / jnp.maximum(hypers.decay_steps, 1.0), 0.0, 1.0)
    return warm * SHAPES[name](x, hypers.final_fraction)
