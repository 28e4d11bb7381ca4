"""The mesh of a population's devices, and the placement of its trees.

The members lie along the axis `population` in blocks. Each device runs the program of its block
with a separate trip count, and exchanges nothing with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")

POPULATION = "population"
BLOCKS = PartitionSpec(POPULATION)


def mesh(members: int, devices: Sequence[jax.Device]) -> Mesh:
    """A mesh of the most devices that divide the members evenly.

    Of D devices a multiple of D takes all, and fewer members than D take one each. Any other number
    takes its largest divisor up to D.
    """
    size = max(d for d in range(1, len(devices) + 1) if members % d == 0)
    return Mesh(np.array(devices[:size]), (POPULATION,))


def split(mesh: Mesh, function: Callable[..., Any], **options: Any) -> jax.stages.Wrapped:
    """A function of trees [K, ...], compiled to run on every device for its block alone."""
    blocks = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=BLOCKS,
        out_specs=BLOCKS,
        axis_names={POPULATION},
        check_vma=False,  # it would want the start of every loop marked; nothing is exchanged
    )
    return jax.jit(blocks, in_shardings=NamedSharding(mesh, BLOCKS), **options)


def place(mesh: Mesh, members: int, tree: Tree, k: int) -> Tree:
    """The tree of member k, on its device."""
    return jax.device_put(tree, mesh.devices[k * mesh.size // members])


def join(mesh: Mesh, stack: Callable[[Sequence[Tree]], Tree], trees: Sequence[Tree]) -> Tree:
    """The trees of K members as one [K, ...]; `stack` joins the block of each device there.

    NumPy's arrays stay on the host; a compiled function brings each device its part.
    """
    members, size = len(trees), len(trees) // mesh.size
    if all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(trees)):
        return stack(trees)
    placed = [place(mesh, members, tree, k) for k, tree in enumerate(trees)]
    blocks = [stack(placed[i : i + size]) for i in range(0, members, size)]

    def whole(*parts: jax.Array) -> jax.Array:
        shape = members, *parts[0].shape[1:]
        sharding = NamedSharding(mesh, BLOCKS)
        return jax.make_array_from_single_device_arrays(shape, sharding, parts)

    return jax.tree.map(whole, *blocks)


def part(mesh: Mesh, take: Callable[[Tree, int], Tree], tree: Tree, k: int) -> Tree:
    """Member k of a joined tree, taken out by `take` on its device, then moved to the first."""
    device, row = divmod(k, jax.tree.leaves(tree)[0].shape[0] // mesh.size)
    block = jax.tree.map(lambda leaf: leaf.addressable_shards[device].data, tree)
    return jax.device_put(take(block, row), mesh.devices[0])
