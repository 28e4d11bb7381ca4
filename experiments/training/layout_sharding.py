"""The programs of one run sharded over devices, and the shardings of its trees.

A parameter, its gradient and the optimizer's values of it lie as `models.layout` says. Arrays
without a weight's shape are replicated. A batch is split along its sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.config.run import Science
from experiments.training.hypers import hypers
from experiments.training.step import Recipe, init_state
from models.layout import of_weight, stored
from scaling.machines.layout import BATCH, Layout
from scaling.parametrization.weight import Weight

WHOLE = PartitionSpec()
BATCHES = PartitionSpec(None, BATCH)  # [S, B, T+1]


def mesh(layout: Layout, devices: Sequence[Any]) -> Mesh:
    """The devices in the shape of a settled layout; axes to the right have the nearest ones."""
    sizes = layout.sizes
    grid = mesh_utils.create_device_mesh(
        tuple(sizes.values()), devices, allow_split_physical_axes=True
    )
    return Mesh(grid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def state_specs(recipe: Recipe) -> Any:
    """A `PartitionSpec` for every leaf of the state."""
    state = jax.eval_shape(partial(init_state, recipe), jax.eval_shape(partial(hypers, Science())))
    found = {
        _path(path): weight
        for path, weight in jax.tree_util.tree_leaves_with_path(
            recipe.weights, is_leaf=lambda x: isinstance(x, Weight)
        )
    }
    layout = recipe.spec.layout

    def leaf(path: Any, value: Any) -> PartitionSpec:
        parts = _path(path)
        weight = next((found[parts[i:]] for i in range(len(parts)) if parts[i:] in found), None)
        if weight is None or value.shape != stored(weight)[1]:
            return WHOLE
        return of_weight(layout, weight, "params" if parts[0] == "params" else "optimizer")

    return jax.tree_util.tree_map_with_path(leaf, state)


def _path(path: Any) -> tuple[str, ...]:
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def on(mesh: Mesh, specs: Any) -> Any:
    """The shardings of a tree of specs."""
    return jax.tree.map(partial(NamedSharding, mesh), specs)


def put(mesh: Mesh, tree: Any) -> Any:
    """A tree that every process has, placed on the mesh; each device gets its part of a batch."""
    where = NamedSharding(mesh, BATCHES if isinstance(tree, np.ndarray) else WHOLE)

    def leaf(value: Any) -> Any:
        if isinstance(value, jax.Array) and isinstance(value.sharding, NamedSharding):
            return value  # already placed
        return jax.make_array_from_callback(value.shape, where, np.asarray(value).__getitem__)

    return jax.tree.map(leaf, tree)


def split(mesh: Mesh, recipe: Recipe) -> dict[str, Callable[..., Any]]:
    """The `jax.jit` of each function of a run, with its shardings, by function."""
    state, whole = on(mesh, state_specs(recipe)), NamedSharding(mesh, WHOLE)
    return {
        "init": partial(jax.jit, in_shardings=whole, out_shardings=state),
        "chunk": partial(
            jax.jit,
            in_shardings=(state, whole, NamedSharding(mesh, BATCHES)),
            out_shardings=(state, whole),
            donate_argnums=0,
        ),
        "evaluate": partial(jax.jit, in_shardings=(state, whole), out_shardings=whole),
        "score": partial(jax.jit, in_shardings=(state, whole, whole), out_shardings=whole),
    }
