"""Two forms of one state: a tree per layer, or layers stacked along a leading axis.

A checkpoint has the form of the program that saved it; another program may want the other form.
Every subtree of the state shaped like the parameters is converted. Adafactor's state has none: its
runs keep the form that they began in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from models.weights import STACK, layer_name
from scaling.common.errors import UserError


def is_stacked(tree: Any) -> bool:
    """Tell if any layers of a state are stacked."""
    return any(STACK in params for params in _params(tree))


def turn(tree: Any) -> Any:
    """Convert a state to the other form."""
    change = _unstacked if is_stacked(tree) else _stacked
    return jax.tree.map(lambda x: change(x) if _is_params(x) else x, tree, is_leaf=_is_params)


def turned_like(tree: Any, state: Any) -> Any:
    """Convert a state to the form of `state`, placed as its arrays are."""
    places = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(turn, out_shardings=places)(tree)


def _params(tree: Any) -> Iterator[dict[str, Any]]:
    return filter(_is_params, jax.tree.leaves(tree, is_leaf=_is_params))


def _is_params(tree: Any) -> bool:
    return isinstance(tree, dict) and (STACK in tree or layer_name(0) in tree)


def _unstacked(params: dict[str, Any]) -> dict[str, Any]:
    stack = params[STACK]
    _check(name.isdecimal() for name in stack)
    rest = {name: value for name, value in params.items() if name != STACK}
    layers = len(jax.tree.leaves(stack)[0])

    def layer(i: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[i], stack)

    return rest | {layer_name(i): layer(i) for i in range(layers)}


def _stacked(params: dict[str, Any]) -> dict[str, Any]:
    names: list[str] = []
    while layer_name(len(names)) in params:
        names.append(layer_name(len(names)))
    rest = {name: value for name, value in params.items() if name not in names}
    layers = [params[name] for name in names]
    kinds: list[Any] = list(map(jax.tree.structure, layers))
    _check(kind != kinds[0] for kind in kinds)
    return rest | {STACK: jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)}


def _check(several: Iterable[bool]) -> None:
    """Refuse layers of several kinds, which are stacked by their place in the pattern.

    Raises:
        UserError: any of `several` is true.
    """
    if any(several):
        raise UserError(
            "execution.program.layers: a run whose model.pattern has several blocks, or whose "
            "layers share weights, keeps the layers that it began with; set it back"
        )
