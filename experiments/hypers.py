"""Hyperparameters as arrays: leaves of a traced pytree, so a grid of them is one executable."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jax import Array

from experiments.config import Science


class Hypers(struct.PyTreeNode):
    """Every number that a run may differ in without another program. Scalars, or [K] under vmap."""

    learning_rate: Array  # peak
    beta1: Array
    beta2: Array
    epsilon: Array
    weight_decay: Array
    clip_norm: Array
    warmup_steps: Array
    decay_steps: Array
    total_steps: Array  # int32; the state stands still from here on
    final_fraction: Array
    init_scale: Array
    seed: Array  # uint32


def hypers(science: Science) -> Hypers:
    """The traced leaves of one run."""
    o = science.optimizer
    floats = {
        "learning_rate": o.learning_rate,
        "beta1": o.beta1,
        "beta2": o.beta2,
        "epsilon": o.epsilon,
        "weight_decay": o.weight_decay,
        "clip_norm": o.clip_norm,
        "warmup_steps": science.warmup_steps,
        "decay_steps": science.decay_steps,
        "final_fraction": science.schedule.final_fraction,
        "init_scale": science.init_scale,
    }
    return Hypers(
        **{name: jnp.float32(value) for name, value in floats.items()},
        total_steps=jnp.int32(science.steps),
        seed=jnp.uint32(science.seed),
    )
