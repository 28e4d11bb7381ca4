"""Forms of one state: a tree per layer, or layers stacked along a leading axis.

A checkpoint has the form of the program that saved it; another program may want the other form.
Every subtree of the state shaped like the parameters is converted. Adafactor's state has none: its
runs keep the form that they began in.

    unrolled             blocks_0, blocks_1, ...
    one kind of layer    blocks: every leaf [L, ...]
    P blocks             blocks/0 to blocks/P-1: every leaf [L / P, ...], of layers p, p + P, ...
    P shared layers      blocks/0 to blocks/P-1: leaves without that axis
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from models.weights import STACK, layer_name


def is_stacked(tree: Any) -> bool:
    """Tell if any layers of a state are stacked."""
    return any(STACK in params for params in _params(tree))


def turn(tree: Any, like: Any) -> Any:
    """Convert a state to the form of another of the same model.

    Args:
        like: its leaves need no more than a shape.

    Raises:
        ValueError: the two are not of one model.
    """
    form = next(_params(like))

    def one(x: Any) -> Any:
        if not is_params(x) or (STACK in x) == (STACK in form):
            return x
        return _unstacked(x, form) if STACK in x else _stacked(x, form)

    return jax.tree.map(one, tree, is_leaf=is_params)


def turned_like(tree: Any, state: Any) -> Any:
    """Convert a state to the form of `state`, placed as its arrays are."""
    places = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(lambda tree: turn(tree, state), out_shardings=places)(tree)


def _params(tree: Any) -> Iterator[dict[str, Any]]:
    return filter(is_params, jax.tree.leaves(tree, is_leaf=is_params))


def is_params(tree: Any) -> bool:
    return isinstance(tree, dict) and (STACK in tree or layer_name(0) in tree)


def _unstacked(params: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    blocks = _blocks(params[STACK])
    shared = _axes(blocks[0]) == _axes(like[layer_name(0)])
    rest = {name: value for name, value in params.items() if name != STACK}

    def layer(i: int) -> Any:
        again, place = divmod(i, len(blocks))
        return blocks[place] if shared else jax.tree.map(lambda leaf: leaf[again], blocks[place])

    return rest | {layer_name(i): layer(i) for i in range(len(_unrolled(like)))}


def _stacked(params: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    layers, blocks = _unrolled(params), _blocks(like[STACK])
    names = {layer_name(i) for i in range(len(layers))}
    rest = {name: value for name, value in params.items() if name not in names}
    if len(layers) % len(blocks):
        raise ValueError(f"{len(layers)} layers are no multiple of {len(blocks)} blocks")
    if _axes(blocks[0]) == _axes(layers[0]):
        return rest | {STACK: _named(layers)}
    stacks = [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers[place :: len(blocks)])
        for place in range(len(blocks))
    ]
    whole = stacks[0] if len(blocks) == 1 and "0" not in like[STACK] else _named(stacks)
    return rest | {STACK: whole}


def _named(blocks: list[Any]) -> dict[str, Any]:
    return {str(place): block for place, block in enumerate(blocks)}


def _blocks(stack: dict[str, Any]) -> list[Any]:
    """The stacks of each block of the pattern; one where its layers are of one kind."""
    return [stack[str(i)] for i in range(len(stack))] if "0" in stack else [stack]


def _unrolled(params: dict[str, Any]) -> list[Any]:
    """The layers in order."""
    layers: list[Any] = []
    while layer_name(len(layers)) in params:
        layers.append(params[layer_name(len(layers))])
    return layers


def _axes(layer: Any) -> int:
    """Axes of all arrays of a layer together."""
    return sum(len(leaf.shape) for leaf in jax.tree.leaves(layer))
