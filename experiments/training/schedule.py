"""Learning-rate schedules: the fraction of the peak at step t = 0 .. S-1, with traced lengths.

    fraction(t) = min(1, (t+1)/W) * decay(p, min(f, p), x)
    p = plateau(min(t, S-Z)),   x = clip((t - (S-Z)) / Z, 0, 1)

W warm-up steps, Z decay steps, S all steps, f the final fraction. The first step has the fraction
1/W, not 0. Step S-Z is the last before the decay shows; x = 1, the final fraction, would be step S.
Z is S - W for linear and cosine, 0 for constant, else chosen; 0 leaves the plateau alone.

    schedule        plateau(t)                            decay
    linear, cosine  1                                     of that shape
    constant        1                                     none
    wsd             1                                     any shape (Hu et al. 2024)
    trapezoid       1                                     linear: WSD's older name
    multistep       1                                     p sqrt(f) for half of Z, then f;
                                                          DeepSeek LLM: f = 0.1, Z = 0.2 S
    inverse_sqrt    sqrt(W / max(t+1, W))                 any shape (plateau: Vaswani et al. 2017)
    power           min(1, (n / n0)^b), n = (t+1) tokens  any shape
    infinite        a cosine from 1, at W, to             any shape (Ibrahim et al. 2024,
                    `plateau_fraction` in settling steps  arXiv:2403.08763)

Power (Shen et al. 2024, arXiv:2408.13359) is eta(n) = min(eta_max, beta a n^b), with eta_max the
peak learning rate and beta the batch: in sequences, which no source states, but tokens give rates
beyond reason. Decay shapes, from p at x = 0 to f at x = 1 (Hagele et al. 2024, arXiv:2405.18392):

    linear         p - (p-f) x              1-sqrt       p - (p-f) sqrt(x)
    cosine         p - (p-f) c(x)           square       p - (p-f) x^2
    mirror_cosine  p - (p-f) (2x - c(x))    exponential  p (f/p)^x

with c(x) = (1 - cos(pi x)) / 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
from jax import Array

from experiments.config.schedule import ScheduleName
from experiments.training.hypers import Hypers

Decay = Callable[[Array, Array, Array], Array]  # of p, f and x
Plateau = Callable[[Array, Hypers], Array]  # of t


def _cosine(x: Array) -> Array:
    return (1 - jnp.cos(jnp.pi * x)) / 2


def _fall(by: Callable[[Array], Array], p: Array, f: Array, x: Array) -> Array:
    """From p to f as `by` goes from 0 to 1."""
    return p - (p - f) * by(x)


def _factor(by: Callable[[Array], Array], p: Array, f: Array, x: Array) -> Array:
    """From p to f by factors."""
    return p * (f / p) ** by(x)


SHAPES: Mapping[str, Decay] = {
    "linear": partial(_fall, lambda x: x),
    "cosine": partial(_fall, _cosine),
    "mirror_cosine": partial(_fall, lambda x: 2 * x - _cosine(x)),
    "1-sqrt": partial(_fall, jnp.sqrt),
    "square": partial(_fall, jnp.square),
    "exponential": partial(_factor, lambda x: x),
    "staircase": partial(_factor, lambda x: jnp.ceil(2 * x) / 2),
    "none": lambda p, f, x: p,
}


def _one(t: Array, hypers: Hypers) -> Array:
    return jnp.ones_like(t)


def _inverse_sqrt(t: Array, hypers: Hypers) -> Array:
    W = jnp.maximum(hypers.warmup_steps, 1.0)
    return jnp.sqrt(W / jnp.maximum(t + 1, W))


def _power(t: Array, hypers: Hypers) -> Array:
    return jnp.minimum(1.0, ((t + 1) / hypers.knee_steps) ** hypers.power_exponent)


def _settling(t: Array, hypers: Hypers) -> Array:
    x = (t - hypers.warmup_steps) / jnp.maximum(hypers.settling_steps, 1.0)
    return 1 - (1 - hypers.plateau_fraction) * _cosine(jnp.clip(x, 0.0, 1.0))


# name: its plateau, and its decay where that is not the config's to choose
SCHEDULES: Mapping[ScheduleName, tuple[Plateau, str | None]] = {
    "linear": (_one, "linear"),
    "cosine": (_one, "cosine"),
    "wsd": (_one, None),
    "constant": (_one, "none"),
    "trapezoid": (_one, "linear"),
    "multistep": (_one, "staircase"),
    "inverse_sqrt": (_inverse_sqrt, None),
    "power": (_power, None),
    "infinite": (_settling, None),
}


def fraction(name: ScheduleName, decay_shape: str, step: Array, hypers: Hypers) -> Array:
    """The fraction of the peak learning rate at `step`; scalar in [0, 1]."""
    plateau, own = SCHEDULES[name]
    t = jnp.asarray(step, jnp.float32)
    warm = jnp.minimum(1.0, (t + 1) / jnp.maximum(hypers.warmup_steps, 1.0))
    start = hypers.total_steps - hypers.decay_steps
    x = jnp.clip((t - start) / jnp.maximum(hypers.decay_steps, 1.0), 0.0, 1.0)
    p = plateau(jnp.minimum(t, start), hypers)
    return warm * SHAPES[own or decay_shape](p, jnp.minimum(hypers.final_fraction, p), x)
