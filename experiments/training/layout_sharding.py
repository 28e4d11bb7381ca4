"""The programs of one run sharded over devices, and the shardings of its trees.

A parameter, its gradient and the optimizer's values of it lie as `models.layout` says. Arrays
without a weight's shape are replicated. A batch is split along its sequences.

Trees of K members have a leading axis, which lies along `population`: each block of devices trains
its members. Blocks exchange nothing but the word that any of them has a step left. Trees of one
member are alike in every block.
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
from experiments.training.step import Recipe, TrainState, init_state
from models.layout import of_weight, stored
from scaling.machines.layout import AXES, BATCH, Layout
from scaling.parametrization.weight import Weight

WHOLE = PartitionSpec()
BATCHES = PartitionSpec(None, BATCH)  # [S, B, T+1]
POPULATION = AXES[0]


def mesh(layout: Layout, devices: Sequence[Any]) -> Mesh:
    """The devices in the shape of a settled layout; axes to the right have the nearest ones."""
    sizes = layout.mesh
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


def of_members(mesh: Mesh, specs: Any) -> Any:
    """The shardings of trees [K, ...] from the specs of one member's."""
    along = POPULATION if POPULATION in mesh.axis_names else None
    return jax.tree.map(lambda spec: NamedSharding(mesh, PartitionSpec(along, *spec)), specs)


def split_members(
    mesh: Mesh,
    recipe: Recipe,
    chunk: Callable[..., Any],
    stack: Callable[[Sequence[Any]], Any],
    take: Callable[[Any, Any], Any],
) -> tuple[jax.stages.Wrapped, Callable[[Sequence[Any]], Any], jax.stages.Wrapped]:
    """The program of a chunk of trees [K, ...], and `stack` and `take` of members under it.

    Where K does not divide over the blocks, the last member fills up the rest.
    """
    one = state_specs(recipe)
    state, rows, batches = (of_members(mesh, specs) for specs in (one, WHOLE, BATCHES))
    blocks = mesh.shape.get(POPULATION, 1)
    chunk = jax.vmap(chunk, spmd_axis_name=POPULATION if blocks > 1 else None)
    compiled = jax.jit(
        chunk,
        in_shardings=(state, rows, batches),
        out_shardings=(state, rows),
        donate_argnums=0,
    )
    together = jax.jit(stack, out_shardings=state)

    def join(trees: Sequence[Any]) -> Any:
        trees = (*trees, *(trees[-1],) * (-len(trees) % blocks))
        if isinstance(trees[0], TrainState):
            return together(trees)
        where = batches if isinstance(trees[0], np.ndarray) else rows

        def put(value: Any) -> jax.Array:
            return jax.make_array_from_callback(value.shape, where, value.__getitem__)

        return jax.tree.map(put, stack(jax.tree.map(np.asarray, trees)))

    part = jax.jit(take, in_shardings=(state, None), out_shardings=on(mesh, one))
    return compiled, join, part
