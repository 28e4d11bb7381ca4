"""Layers in stages (GPipe, Huang et al. 2019, section 2): p devices, each with L / p of the layers.

A microbatch passes in m parts, v times round the devices (Narayanan et al. 2021, section 2.2). In
round r stage i has layers r p + i of p v groups. In step t it works on part (t - i) mod m of round
(t - i) / m, and sends it to stage i + 1, the last to the first. Of v m + p - 1 steps a stage works
in v m; the rest, (p - 1) / (v m + p - 1), is the bubble. With v = 1 this is GPipe. The backward
pass is the derivative, from the last step to the first. Embedding and readout are outside: every
stage computes them for itself.
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
    layers: Callable[[Any, Array], tuple[Array, Any]],
    params: Any,
    x: Float[Array, "B T d"],
) -> tuple[Float[Array, "B T d"], Any]:
    """All layers over x, each stage's where they lie; other axes are as without stages.

    Args:
        layers: (params of L / (p v) layers, [B / m, T, d]) -> [B / m, T, d] and what its routers
            found, a tree of means over sequences [L / (p v)] and of arrays [L / (p v), B / m, T].
        params: a tree of [L, ...]; with more than one round, stages exchange their layers first.
        x: m is `layout.parts`, or the greatest common divisor of a smaller rest B with it.

    Returns:
        [B, T, d], and what all routers found, [L] and [L, B, T].
    """
    p, v, m = layout.stage, layout.rounds, math.gcd(layout.parts, x.shape[0])
    to = [(i, (i + 1) % p) for i in range(p if v > 1 else p - 1)]

    def work(params: Any, parts: Array) -> tuple[Array, Any]:
        stage, groups = jax.lax.axis_index(AXIS), jax.tree.map(lambda x: x.squeeze(1), params)

        def step(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Any]:
            held, received = carry
            # the first stage holds what begins the next round, the last one what it has done
            held = _put(held, received, t - p, (stage == 0) & (t >= p) & (v > 1))
            own = jax.lax.dynamic_index_in_dim(held, (t - stage) % m, keepdims=False)
            turn = jnp.clip((t - stage) // m, 0, v - 1)
            group = jax.tree.map(
                lambda x: jax.lax.dynamic_index_in_dim(x, turn, keepdims=False), groups
            )
            y, found = layers(group, jnp.where(stage == 0, own, received))
            held = _put(held, y, t - p + 1, (stage == p - 1) & (t >= p - 1))
            return (held, jax.lax.ppermute(y, AXIS, to)), found

        start = parts[0], jnp.zeros_like(parts[0, 0])
        (held, _), found = jax.lax.scan(step, start, jnp.arange(v * m + p - 1))
        own = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, stage, v * m)[None], found)
        return jnp.where(stage == p - 1, held, 0)[None], own

    def grouped(x: Array) -> Array:
        return x.reshape(v, p, -1, *x.shape[1:])

    # sequence i is in part i mod m: every part is over the batch's devices as the whole is
    parts = x.reshape(-1, m, *x.shape[1:]).swapaxes(0, 1)
    # [p, m, ...] in and out and their sum, for no collective but the permutes is then by hand: XLA
    # 0.10 on a CPU ends at a psum of bfloat16
    split, of_round = PartitionSpec(AXIS), PartitionSpec(None, AXIS)
    outputs, found = jax.shard_map(
        work, mesh=abstract(layout), in_specs=(of_round, split), out_specs=split, axis_names={AXIS}
    )(jax.tree.map(grouped, params), jnp.broadcast_to(parts, (p, *parts.shape)))
    return outputs.sum(0).swapaxes(0, 1).reshape(x.shape), jax.tree.map(
        lambda each: _in_order(each.reshape(p, v, m, *each.shape[2:])), found
    )


def _in_order(found: Array) -> Array:
    """Values [p, v, m, layers, ...] of stages, rounds and parts to those of all layers."""
    found = jnp.moveaxis(found, 2, -1).swapaxes(0, 1)  # [v, p, layers, ..., m]
    if found.ndim == 4:
        return found.mean(-1).reshape(-1)
    return found.swapaxes(-1, -2).reshape(-1, found.shape[3] * found.shape[-1], found.shape[-2])


def _put(held: Array, part: Array, tick: Array, condition: Array) -> Array:
    """The parts held, one of them replaced under a condition."""
    place = tick % len(held)
    old = jax.lax.dynamic_index_in_dim(held, place, keepdims=False)
    return jax.lax.dynamic_update_index_in_dim(held, jnp.where(condition, part, old), place, 0)
