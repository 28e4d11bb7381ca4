"""Hyperparameters as arrays: leaves of a traced pytree, so a grid of them is one executable."""

from __future__ import annotations

import math

import jax.numpy as jnp
from flax import struct
from jax import Array

from experiments.config.run import Science


class Hypers(struct.PyTreeNode):
    """Every number that a run may differ in without another program. Scalars, or [K] under vmap."""

    learning_rate: Array  # peak
    beta1: Array
    beta2: Array
    momentum: Array
    epsilon: Array
    weight_decay: Array
    clip_norm: Array
    warmup_steps: Array
    decay_steps: Array
    total_steps: Array  # int32; the state stands still from here on
    final_fraction: Array
    knee_steps: Array  # of the power schedule: where its rate leaves the peak
    power_exponent: Array
    settling_steps: Array
    plateau_fraction: Array
    ema_decay: Array
    z_loss: Array
    balance_loss: Array
    router_z_loss: Array
    init_scale: Array
    seed: Array  # uint32


def hypers(science: Science) -> Hypers:
    """The traced leaves of one run."""
    o = science.optimizer
    floats = {
        "learning_rate": o.learning_rate,
        "beta1": o.beta1,
        "beta2": o.beta2,
        "momentum": o.momentum,
        "epsilon": o.epsilon,
        "weight_decay": o.weight_decay,
        "clip_norm": o.clip_norm,
        "warmup_steps": science.warmup_steps,
        "decay_steps": science.decay_steps,
        "final_fraction": science.schedule.final_fraction,
        "knee_steps": knee_steps(science),
        "power_exponent": science.schedule.power_exponent,
        "settling_steps": science.settling_steps,
        "plateau_fraction": science.schedule.plateau_fraction,
        "ema_decay": science.evaluation.ema_decay,
        "z_loss": science.z_loss,
        "balance_loss": science.balance_loss,
        "router_z_loss": science.router_z_loss,
        "init_scale": science.init_scale,
    }
    return Hypers(
        **{name: jnp.float32(value) for name, value in floats.items()},
        total_steps=jnp.int32(science.steps),
        seed=jnp.uint32(science.seed),
    )


def knee_steps(science: Science) -> float:
    """The steps n / batch_tokens at which beta a n^b, beta the sequences, is the peak rate."""
    s, batch = science.schedule, science.batch
    peak = science.optimizer.learning_rate / (batch.sequences * s.power_amplitude)
    return math.exp(min(math.log(peak) / s.power_exponent, 80.0)) / batch.batch_tokens
