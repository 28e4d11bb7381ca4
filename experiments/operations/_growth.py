"""Growth of a model in depth and width: layers by number, arrays into the corner of larger ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.operations import Arrays, Blueprint
from models.weights import STACK
from scaling.common.alphabet import parse

WIDE = "dhgf"  # letters that growth may lengthen
NUMBER = re.compile(rf"^({re.escape(STACK)}\.)(\d+)(\..*)$")


def by_layer(parents: Sequence[Arrays], plan: Blueprint, pick: Callable[[int], int]) -> Arrays:
    """The child's arrays, those of repeat i of its pattern from repeat pick(i) of the parent's."""
    parent, period, made = parents[0], len(plan.child.config.pattern), {}
    for name in plan.child.weights:
        found = NUMBER.match(name)
        source = name
        if found is not None:
            layer = int(found[2])
            source = f"{found[1]}{pick(layer // period) * period + layer % period}{found[3]}"
        factor = plan.parents[0].multipliers[source] / plan.child.multipliers[name]
        made[name] = parent[source] * np.float32(factor)
    return made


def repeats(plan: Blueprint) -> tuple[int, int]:
    """Repeats of the pattern over the depth, of the parent and of the child."""
    period = len(plan.child.config.pattern)
    return plan.parents[0].config.layers // period, plan.child.config.layers // period


def corners(parents: Sequence[Arrays], plan: Blueprint) -> dict[str, NDArray[np.float32]]:
    """The child's own initial arrays with the parent's in their corners, multipliers heeded."""
    made, parent, old = {}, parents[0], plan.parents[0]
    fresh = plan.fresh()
    for name in plan.child.weights:
        array = np.array(fresh[name], np.float32)
        if name in parent:
            factor = old.multipliers[name] / plan.child.multipliers[name]
            array[corner(parent[name])] = parent[name] * np.float32(factor)
        made[name] = array
    return made


def corner(array: NDArray[np.float32]) -> tuple[slice, ...]:
    """The index of an array in the corner of a larger one."""
    return tuple(slice(0, length) for length in array.shape)


def deeper(plan: Blueprint, **settings: Any) -> str:
    """The refusal of anything but the parent's model with more layers, a multiple of its own."""
    old, new = plan.parents[0].config, plan.child.config
    if new.layers < old.layers or new.layers % old.layers:
        return (
            f"model.layers={new.layers} is no multiple of the parent's {old.layers}; choose a "
            "growth factor that fits"
        )
    return _family(plan) or _lengths(plan, "", 0)


def wider(plan: Blueprint, **settings: Any) -> str:
    """The refusal of a child that is not the parent's model, wider or deeper."""
    old, new = plan.parents[0].config, plan.child.config
    if new.layers < old.layers:
        return f"model.layers={new.layers} is below the parent's {old.layers}; growth adds layers"
    return _family(plan) or _lengths(plan, WIDE, 1)


def split(plan: Blueprint, **settings: Any) -> str:
    """The refusal of a child that is not the parent's model with whole multiples of its widths."""
    old, new = plan.parents[0].config, plan.child.config
    if new.layers != old.layers:
        return f"model.layers={new.layers} and the parent's {old.layers}: it grows the width alone"
    return _family(plan) or _lengths(plan, WIDE, 2) or _readout(plan, new.width // old.width)


def same_function(plan: Blueprint, **settings: Any) -> str:
    """The refusal of a growth by zeros that would change the function."""
    old, new = plan.parents[0].config, plan.child.config
    if reason := wider(plan):
        return reason
    if new.heads * old.kv_heads != old.heads * new.kv_heads:
        return f"model.kv_heads={new.kv_heads}: keep the parent's query heads for each key head"
    if new.width > old.width and (new.norm != "rmsnorm" or new.gains != "vector"):
        return "a wider norm keeps its output by model.norm=rmsnorm and model.gains=vector alone"
    return _readout(plan, 1)


def _family(plan: Blueprint) -> str:
    """The refusal of parts that differ, of shared layers, and of another scale of branches."""
    old, new = plan.parents[0], plan.child
    for field in ("pattern", "sharing", "norm", "gains", "biases", "mlp", "block", "embeddings"):
        a, b = (getattr(model.config, field) for model in (old, new))
        if a != b:
            return f"model.{field}={b} and the parent's {a}; choose one family"
    if new.config.sharing != "none":
        return f"model.sharing={new.config.sharing}: shared layers do not grow; set none"
    if not (old.config.alike and new.config.alike):
        return "layers of sizes by depth do not grow; leave model.layer_heads and layer_ffn alone"
    return ""


def _lengths(plan: Blueprint, letters: str, how: int) -> str:
    """The refusal of axes that change: how 0: none may, 1: they grow, 2: by whole multiples."""
    old = plan.parents[0].weights
    for name, weight in plan.child.weights.items():
        source = name if name in old else _first_layer(name, len(plan.child.config.pattern))
        if source not in old:
            return f"the parent has no '{name}'; choose one family"
        pairs = zip(parse(weight.letters).axes, old[source].shape, weight.shape, strict=True)
        for letter, a, b in pairs:
            if a == b:
                continue
            if letter not in letters:
                return f"'{name}' has {a} of '{letter}' in the parent and {b} in the child"
            if b < a or (how == 2 and b % a):
                return f"'{name}' has {b} of '{letter}', no growth of the parent's {a} that fits"
    return ""


def _readout(plan: Blueprint, copies: int) -> str:
    """The refusal of factors by which the child would compute another function."""
    old, new = plan.parents[0], plan.child
    if not math.isclose(old.residual, new.residual):
        return (
            f"branches are scaled by {old.residual:g} in the parent and {new.residual:g} in the "
            "child; choose a parametrization without a rule of depth"
        )
    tied = new.config.embeddings == "tied"
    if tied and not math.isclose(old.tied, new.tied * copies):
        return "a tied readout would scale the logits; set model.embeddings=untied"
    return ""


def _first_layer(name: str, period: int) -> str:
    found = NUMBER.match(name)
    return name if found is None else f"{found[1]}{int(found[2]) % period}{found[3]}"
