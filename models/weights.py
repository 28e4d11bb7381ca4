"""Weights: the one helper that makes them, their descriptions, and their initial values.

`make_weight` boxes a weight with its role and letters. The box exists only while shapes are
inferred: `describe` reads it, and parameters are plain nested dicts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct
from jax import Array

from scaling.common.alphabet import parse
from scaling.parametrization.parametrization import Parametrization, Shape
from scaling.parametrization.weight import Role, Weight

Params = dict[str, Any]

STACK = "blocks"  # the module of scanned layers


def layer_name(i: int) -> str:
    """The module of layer i, where layers are unrolled."""
    return f"{STACK}_{i}"


class Tagged(struct.PyTreeNode, nn.meta.AxisMetadata):
    """A value with its role and letters; `layered` once a scan has stacked it over layers."""

    value: Any
    role: Role = struct.field(pytree_node=False)
    letters: str = struct.field(pytree_node=False)
    layered: bool = struct.field(pytree_node=False, default=False)

    def unbox(self) -> Any:
        return self.value

    def replace_boxed(self, value: Any) -> Tagged:
        return self.replace(value=value)

    def add_axis(self, index: int, params: dict[str, Any]) -> Tagged:
        return self.replace(layered=True)

    def remove_axis(self, index: int, params: dict[str, Any]) -> Tagged:
        return self.replace(layered=False)


def draw(weight: Weight, std: float | Array, key: Array) -> Array:
    """theta_0 of one weight: Normal(0, std^2), or 1 for a gain and 0 for a bias."""
    if weight.role == "gain":
        return jnp.ones(weight.shape)
    if weight.role == "bias":
        return jnp.zeros(weight.shape)
    return std * jax.random.normal(key, weight.shape)


def make_weight(
    module: nn.Module,
    name: str,
    role: Role,
    letters: str,
    sizes: dict[str, int],
    *,
    model: Shape,
    parametrization: Parametrization,
) -> Array:
    """The weight `name` of `module`, times its forward multiplier. Every weight is made here.

    Args:
        letters: axes as `Weight` has them; `sizes` gives the length of each letter.
        model: its width and depth, for the parametrization's ratios.
    """
    shape = tuple(sizes[letter] for letter in parse(letters).axes)
    weight = Weight(name, role, letters, shape)
    rule = parametrization.rule(weight, model)
    value = module.param(name, lambda key: Tagged(draw(weight, rule.init_std, key), role, letters))
    return value * rule.multiplier  # a factor of 1 leaves no trace in the compiled program


def describe(init: Callable[[Array], Any]) -> Any:
    """The tree of `Weight` of a model, from its shapes alone; an untagged weight is a TypeError.

    `init` maps a key to linen variables; no parameter is materialised. A path loses the layer
    number of the stack and no other digits, so no two weights share a draw.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))  # no device is opened for it
    boxed = jax.eval_shape(init, key)["params"]

    def tag(path: Any, leaf: Any) -> Weight:
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if not isinstance(leaf, Tagged):
            raise TypeError(f"weight {where} was not made by make_weight: it has no role")
        numbered = re.match(rf"{STACK}[_/](\d+)/", where)
        return Weight(
            path=re.sub(rf"^{STACK}[_/]\d+/", f"{STACK}/", where),
            role=leaf.role,
            letters=leaf.letters,
            shape=leaf.value.shape[1:] if leaf.layered else leaf.value.shape,
            layer=int(numbered.group(1)) if numbered else None,
            stacked=leaf.value.shape[0] if leaf.layered else 0,
        )

    return jax.tree_util.tree_map_with_path(tag, boxed, is_leaf=lambda x: isinstance(x, Tagged))


def initialise(
    weights: Any,
    parametrization: Parametrization,
    model: Shape,
    key: Array,
    init_scale: float | Array = 1.0,
) -> Params:
    """Parameters for a tree of `Weight`; pure, to be called under jit with the shardings wanted.

    The draw of a weight depends on the key, its path and its layer alone. So scanned and unrolled
    layers, any device count and any order of weights give the same numbers.
    """

    leaves, tree = jax.tree.flatten(weights, is_leaf=lambda x: isinstance(x, Weight))
    fold = jax.vmap(jax.random.fold_in)  # all paths at once: a draw's hash is slow to compile
    paths = jnp.array([zlib.crc32(weight.path.encode()) for weight in leaves], jnp.uint32)
    of_path = fold(jnp.broadcast_to(key, paths.shape), paths)
    of_layer = fold(of_path, jnp.array([weight.layer or 0 for weight in leaves]))

    def leaf(weight: Weight, own: Array, first: Array) -> Array:
        std = init_scale * parametrization.rule(weight, model).init_std
        if not weight.stacked:
            return draw(weight, std, first)
        layers = weight.layers(model.layers)
        numbers = jnp.arange(layers.start, layers.stop, layers.step)
        keys = jax.vmap(partial(jax.random.fold_in, own))(numbers)
        return jax.vmap(partial(draw, weight, std))(keys)

    params: Params = jax.tree.unflatten(tree, map(leaf, leaves, of_path, of_layer))
    return params
