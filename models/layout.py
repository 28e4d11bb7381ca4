"""Shardings of arrays from their letters, by the tables of `scaling.machines.placement`.

Models say letters and never axes; a mesh is here only the sizes of its axes
(`scaling.machines.layout.Layout`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal

import jax
from jax import Array
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from scaling.common.alphabet import parse
from scaling.machines.layout import Layout
from scaling.machines.placement import ARRAYS, WEIGHTS, WEIGHTS_USED, Axes, split
from scaling.parametrization.weight import Weight

Params = dict[str, Any]
Tree = Literal["params", "gradients", "optimizer"]

LAYERS = "L"  # the letter of stacked layers

# Trees that a stage of ZeRO splits along fsdp; the others are whole on each device
SPLIT: Mapping[int, tuple[Tree, ...]] = {
    1: ("optimizer",),
    2: ("optimizer", "gradients"),
    3: ("optimizer", "gradients", "params"),
}


def spec(
    table: Mapping[str, Axes], layout: Layout, letters: str, shape: tuple[int, ...]
) -> PartitionSpec:
    """The axes of an array whose dimensions have these letters.

    Raises:
        UserError: a letter that must divide by its axes does not.
        KeyError: a letter that the table does not have.
    """
    found = split(table, layout, dict(zip(letters, shape, strict=True)))
    entries = (found[letter] for letter in letters)
    return PartitionSpec(*(axes[0] if len(axes) == 1 else axes or None for axes in entries))


def of_weight(layout: Layout, weight: Weight, tree: Tree) -> PartitionSpec:
    """The stored axes of a weight, of its gradient, or of the optimizer's values of it."""
    return spec(_weights(layout, tree), layout, *stored(weight))


def stored(weight: Weight) -> tuple[str, tuple[int, ...]]:
    """The letters and the shape of a weight, with those of its layers where they are stacked."""
    letters = parse(weight.letters).axes
    if weight.stacked:
        return LAYERS + letters, (weight.stacked, *weight.shape)
    return letters, weight.shape


def sharding(layout: Layout, weight: Weight) -> str:
    """The placement of a weight as text: each letter that is split, and its axes."""
    letters, _ = stored(weight)
    axes = zip(letters, of_weight(layout, weight, "params"), strict=True)
    found = [f"{letter}:{'x'.join(jax.tree.leaves(axis))}" for letter, axis in axes if axis]
    return " ".join(found) or "whole"


def _weights(layout: Layout, tree: Tree) -> Mapping[str, Axes]:
    return WEIGHTS if tree in SPLIT[layout.zero] else WEIGHTS_USED


@cache
def abstract(layout: Layout) -> AbstractMesh:
    """The mesh without its devices: all that a program needs to be traced."""
    sizes = layout.mesh
    return AbstractMesh(
        tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes)
    )


def _mesh(layout: Layout) -> AbstractMesh:
    """The mesh of the context inside a shard_map, which owns some axes; else the layout's."""
    mesh = jax.sharding.get_abstract_mesh()
    return abstract(layout) if mesh.empty else mesh


def _constrain(layout: Layout, x: Array, to: PartitionSpec) -> Array:
    return jax.lax.with_sharding_constraint(x, NamedSharding(_mesh(layout), to))


def constrain(layout: Layout, x: Array, letters: str) -> Array:
    """An activation, laid out by its letters; as it is on one device.

    Args:
        letters: one for each dimension: B sequences, T positions, then those of weights.
    """
    if layout.devices == 1:
        return x
    return _constrain(layout, x, spec(ARRAYS, layout, letters, x.shape))


def by_block(
    layout: Layout, function: Callable[..., Array], letters: Sequence[str], result: str
) -> Callable[..., Array]:
    """A function that each device computes on its own blocks of activations, such as a kernel.

    Args:
        letters: letters of each argument; other blocks the function fetches itself.
        result: letters of the result, which has the shape of the first argument.
    """
    if layout.devices == 1:
        return function

    def whole(*arrays: Array) -> Array:
        mesh = _mesh(layout)
        return jax.shard_map(
            function,
            mesh=mesh,
            in_specs=tuple(
                spec(ARRAYS, layout, own, x.shape) for own, x in zip(letters, arrays, strict=True)
            ),
            out_specs=spec(ARRAYS, layout, result, arrays[0].shape),
            axis_names=set(mesh.axis_names) - set(mesh.manual_axes),
            check_vma=False,  # kernels do not say along which axes they vary
        )(*arrays)

    return whole


def keep(layout: Layout, weights: Any, tree: Tree, values: Params) -> Params:
    """Values shaped like the parameters, laid out as those of a tree are stored."""
    if layout.devices == 1:
        return values
    return jax.tree.map(
        lambda weight, x: _constrain(layout, x, of_weight(layout, weight, tree)),
        weights,
        values,
        is_leaf=lambda x: isinstance(x, Weight),
    )


def gather(layout: Layout, w: Array, letters: str) -> Array:
    """A weight as products use it: whole along fsdp, with its gradient split as stored.

    The backward pass of a gather is a reduce-scatter, so no device ever holds the whole gradient.

    Args:
        letters: as in `Weight`.
    """
    if layout.devices == 1:
        return w
    letters = parse(letters).axes
    used = spec(WEIGHTS_USED, layout, letters, w.shape)
    kept = spec(_weights(layout, "gradients"), layout, letters, w.shape)
    return _gather(layout, used, kept, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _gather(layout: Layout, used: PartitionSpec, kept: PartitionSpec, w: Array) -> Array:
    return _constrain(layout, w, used)


def _forward(
    layout: Layout, used: PartitionSpec, kept: PartitionSpec, w: Array
) -> tuple[Array, None]:
    return _constrain(layout, w, used), None


def _backward(
    layout: Layout, used: PartitionSpec, kept: PartitionSpec, _: None, dw: Array
) -> tuple[Array]:
    return (_constrain(layout, dw, kept),)


_gather.defvjp(_forward, _backward)
