"""Programs of a population: K runs of one recipe in one program.

States, hypers and batches have a leading axis [K], and `vmap` maps the solo chunk over it: a member
takes the same steps as alone. Each member has a trip count: after its end, or once it diverges, a
select keeps its state. No member's numbers enter another's. Each of several devices trains a block
of the members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np

from experiments.training import layout_sharding
from experiments.training.hypers import Hypers
from experiments.training.populations import device_mesh
from experiments.training.step import (
    Recipe,
    TrainState,
    evaluate,
    init_state,
    score,
    train_chunk,
)
from models.config import Phase

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Programs:
    """The compiled programs of a recipe for K members; for one member without the axis [K].

    `init`, `evaluate` and `score` are of one member. `chunk` is of all, and donates the state's
    buffers. `place` brings the tree of member k to its device. `join` stacks the members' trees for
    `chunk`; `part` takes one out.
    """

    init: Callable[[Hypers], TrainState]
    chunk: jax.stages.Wrapped  # (state, hypers, batches) -> (state, metrics)
    evaluate: Mapping[Phase, Callable[[Any, Any], jax.Array]]
    score: Callable[[Any, Any, Any], jax.Array]
    place: Callable[[Any, int], Any]
    join: Callable[[Sequence[Any]], Any]
    part: Callable[[Any, int], Any]


# The init of a small model costs LLVM more to optimise than it ever takes to run
QUICK_COMPILE = {"cpu": {"xla_backend_optimization_level": 0}, "gpu": None, "tpu": None}


@cache
def programs(
    recipe: Recipe, members: int = 1, devices: tuple[jax.Device, ...] | None = None
) -> Programs:
    """One set per recipe and K: every learning rate, schedule length and seed shares it.

    Args:
        devices: for the members, by default all of this process; one member is on JAX's default.
    """
    if recipe.spec.layout.devices > 1:
        return shared(recipe, members, devices or tuple(jax.devices()))
    if members == 1:
        options = QUICK_COMPILE[jax.default_backend()]
        return Programs(
            init=jax.jit(partial(init_state, recipe), compiler_options=options),
            chunk=jax.jit(partial(train_chunk, recipe), donate_argnums=0),
            evaluate={
                phase: jax.jit(partial(evaluate, recipe, phase=phase)) for phase in get_args(Phase)
            },
            score=jax.jit(partial(score, recipe)),
            place=lambda tree, k: tree,
            join=lambda trees: trees[0],
            part=lambda tree, k: tree,
        )
    alone, chunk = programs(recipe), partial(train_chunk, recipe)
    devices = devices or tuple(jax.local_devices())
    if len(devices) == 1:
        return replace(
            alone,
            chunk=jax.jit(jax.vmap(chunk), donate_argnums=0),
            join=join,
            part=jax.jit(part),
        )
    over = device_mesh.mesh(members, devices)
    return replace(
        alone,
        chunk=device_mesh.split(over, mapped(chunk, members // over.size), donate_argnums=0),
        place=partial(device_mesh.place, over, members),
        join=partial(device_mesh.join, over, join),
        part=partial(device_mesh.part, over, jax.jit(part)),
    )


def shared(recipe: Recipe, members: int, devices: Sequence[jax.Device]) -> Programs:
    """The programs of runs of which each is sharded over devices by the recipe's layout."""
    over = layout_sharding.mesh(recipe.spec.layout, devices)
    compiled = layout_sharding.split(over, recipe)
    init = compiled["init"](partial(init_state, recipe))
    alone = Programs(
        init=lambda hypers: init(layout_sharding.put(over, hypers)),
        chunk=compiled["chunk"](partial(train_chunk, recipe)),
        evaluate={
            phase: compiled["evaluate"](partial(evaluate, recipe, phase=phase))
            for phase in get_args(Phase)
        },
        score=compiled["score"](partial(score, recipe)),
        place=lambda tree, k: tree,
        join=lambda trees: layout_sharding.put(over, trees[0]),
        part=lambda tree, k: tree,
    )
    if members == 1:
        return alone
    own = partial(train_chunk, recipe)
    chunk, joined, taken = layout_sharding.split_members(over, recipe, own, join, part)
    return replace(alone, chunk=chunk, join=joined, part=taken)


def mapped(function: Callable[..., Any], members: int) -> Callable[..., Any]:
    """The function over a leading axis [K]; for K = 1 without the selects of a mapped loop."""
    if members > 1:
        return jax.vmap(function)

    def one(*trees: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], function(*part(trees, 0)))

    return one


def join(trees: Sequence[Tree]) -> Tree:
    """The trees of K members as one with a leading axis [K]; NumPy's arrays stay on the host."""

    def stack(*leaves: Any) -> Any:
        return (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)

    return jax.tree.map(stack, *trees)


def part(tree: Tree, k: jax.Array | int) -> Tree:
    """Member k of a joined tree."""
    return jax.tree.map(lambda leaf: leaf[k], tree)
