"""One small run on one device or shared out by a layout: its curve, its gradients, its shares."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import tiny
from curves import batches

from experiments.training.hypers import hypers
from experiments.training.layout_sharding import mesh, on, state_specs
from experiments.training.populations.programs import programs
from experiments.training.step import Recipe, TrainState, gradients, recipe

TOLERANCE, STEPS, CHUNK = 1e-5, 20, 10  # relative, float32
MODEL = (
    "model.layers=2",
    "model.heads=4",
    "model.kv_heads=2",
    "model.head_dim=8",
    "model.vocab_size=32",
    "model.embeddings=untied",
    "parametrization.name=mup",
    "parametrization.base_width=8",
    "batch.sequences=8",
    "optimizer.learning_rate=0.004",
    "execution.program.layers=scan",
)


def made(*assignments: str) -> Recipe:
    config = tiny.config(*MODEL, *assignments)
    layout = config.execution.layout
    return recipe(config, "cpu", None if layout.name == "single" else layout.devices_in_all)


@cache
def windows() -> np.ndarray:
    """[STEPS, 8, 17]."""
    return np.concatenate([batches(3), batches(4)], axis=1)[:STEPS]


@cache
def curve(*assignments: str) -> tuple[TrainState, np.ndarray]:
    """The last state, and the losses [STEPS]."""
    plan = made(*assignments)
    devices = tuple(jax.devices()[: plan.spec.layout.devices])
    compiled, leaves = programs(plan, 1, devices), hypers(tiny.config(*MODEL).science)
    state, losses = compiled.init(leaves), []
    for start in range(0, STEPS, CHUNK):
        part = compiled.join([windows()[start : start + CHUNK]])
        state, metrics = compiled.chunk(state, leaves, part)
        losses.append(np.asarray(metrics["loss"]))
    return state, np.concatenate(losses)


@cache
def differentiate(*assignments: str) -> Any:
    """The gradients of the first batch at the first parameters."""
    return loss_and_gradients(*assignments)[1]


@cache
def loss_and_gradients(*assignments: str, moved: float = 0.0) -> tuple[Any, Any]:
    """The loss of the first batch at the first parameters, and its gradients.

    Args:
        moved: relative, by which each parameter is moved up or down at random.
    """
    plan = made(*assignments)
    science = (field for field in assignments if not field.startswith("execution."))
    layers = (field for field in assignments if field.startswith("execution.program.layers="))
    plain = made(*science, *layers)
    params = programs(plain).init(hypers(tiny.config(*MODEL).science)).params
    if moved:
        signs = np.random.default_rng(0)
        params = jax.tree.map(
            lambda x: x * np.float32(1 + moved * signs.uniform(-1, 1, x.shape)), params
        )
    if plan.spec.layout.devices > 1:
        over = mesh(plan.spec.layout, jax.devices()[: plan.spec.layout.devices])
        params = jax.device_put(params, on(over, state_specs(plan).params))
    (loss, _), slopes = jax.jit(lambda p, b: gradients(plan, p, b))(params, windows()[0])
    return loss, slopes


def apart(ours: Any, theirs: Any) -> float:
    """|ours - theirs| / |theirs| of two trees of numbers."""
    pairs = list(zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True))
    distance = sum(float(np.square(np.subtract(x, y)).sum()) for x, y in pairs)
    return float(np.sqrt(distance / sum(float(np.square(y).sum()) for _, y in pairs)))


def held(tree: Any) -> float:
    """The part of a tree's numbers that the first device holds."""
    leaves = jax.tree.leaves(tree)
    total = sum(leaf.size for leaf in leaves)
    return sum(leaf.addressable_shards[0].data.size for leaf in leaves) / total
