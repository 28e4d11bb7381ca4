"""Layers in stages (GPipe, Huang et al. 2019, section 2): p devices, each with L / p of the layers.

A microbatch passes in m parts. In step t stage i works on part t - i, if there is one, and sends it
to stage i + 1. Of m + p - 1 steps a stage works in m; the rest, (p - 1) / (m + p - 1), is the
bubble. The backward pass is the derivative of this, from the last step to the first. Embedding and
readout are outside of it: every stage computes them for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec
from jaxtyping import Float

from models.layout import abstract
from scaling.machines.layout import Layout

AXIS = "stage"


def pipeline(
    layout: Layout,
    layers: Callable[[Any, Array], Array],
    params: Any,
    x: Float[Array, "B T d"],
) -> Float[Array, "B T d"]:
    """All layers over x, each stage's where they lie; other axes are as without stages.

    Args:
        layers: (params of L / p layers, [B / m, T, d]) -> [B / m, T, d].
        params: a tree of [L, ...].
        x: m is `layout.parts`, or the greatest common divisor of a smaller rest B with it.
    """
    p, m = layout.stage, math.gcd(layout.parts, x.shape[0])

    def work(params: Any, parts: Array) -> Array:
        stage, inputs = jax.lax.axis_index(AXIS), parts[0]

        def step(received: Array, fresh: Array) -> tuple[Array, Array]:
            y = layers(params, jnp.where(stage == 0, fresh, received))
            return jax.lax.ppermute(y, AXIS, [(i, i + 1) for i in range(p - 1)]), y

        steps = jnp.pad(inputs, [(0, p - 1), *[(0, 0)] * x.ndim])
        _, outputs = jax.lax.scan(step, jnp.zeros_like(inputs[0]), steps)
        return jnp.where(stage == p - 1, outputs[p - 1 :], 0)[None]

    # sequence i is in part i mod m: every part is over the batch's devices as the whole is
    parts = x.reshape(-1, m, *x.shape[1:]).swapaxes(0, 1)
    # [p, m, ...] in and out and their sum, for no collective but the permutes is then by hand: XLA
    # 0.10 on a CPU ends at a psum of bfloat16
    split = PartitionSpec(AXIS)
    outputs = jax.shard_map(
        work, mesh=abstract(layout), in_specs=split, out_specs=split, axis_names={AXIS}
    )(params, jnp.broadcast_to(parts, (p, *parts.shape)))
    return outputs.sum(0).swapaxes(0, 1).reshape(x.shape)
