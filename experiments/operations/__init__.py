"""Operations on parameters: one file each, found by name.

A file defines a pure function of the parents' parameters; its keyword arguments are settings:

    def operation(parents: Sequence[Arrays], *, weights: tuple[float, ...] = ()) -> Arrays

`Arrays` have the names of an export, "blocks.3.attention.query": float32, a layer each, the same
for scanned and unrolled layers. A run begins with the result: `Derived` in experiments/plan/run.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from experiments.config.fields import from_value
from scaling.common import plugins
from scaling.common.errors import UserError, nearest

Arrays = Mapping[str, NDArray[np.float32]]


def apply(name: str, parents: Sequence[Arrays], settings: Mapping[str, Any]) -> Arrays:
    """The parameters that an operation makes from the parents'.

    Raises:
        UserError: no such operation or setting, a value of the wrong type, or parents that the
            operation refuses.
    """
    function = plugins.find(__name__, name, "operation", "operation")
    made: Arrays = function(parents, **_typed(name, function, settings))
    return made


def check(name: str, settings: Mapping[str, Any]) -> None:
    """Raise the UserError of an unknown operation or setting, before any training."""
    _typed(name, plugins.find(__name__, name, "operation", "operation"), settings)


def same_shapes(name: str, parents: Sequence[Arrays]) -> None:
    """Raise a UserError if two parents differ in the name or shape of an array."""
    first, *others = parents
    for number, other in enumerate(others, 2):
        for key in first.keys() | other.keys():
            shapes = [each[key].shape if key in each else "absent" for each in (first, other)]
            if shapes[0] != shapes[1]:
                raise UserError(
                    f"operation '{name}': '{key}' is {shapes[0]} in parent 1 and {shapes[1]} in "
                    f"parent {number}; choose parents of one model"
                )


def _typed(
    name: str, function: Callable[..., Any], settings: Mapping[str, Any]
) -> Mapping[str, Any]:
    keywords = inspect.signature(function).parameters.values()
    known = [each.name for each in keywords if each.kind is inspect.Parameter.KEYWORD_ONLY]
    for key in settings:
        if key not in known:
            raise UserError(f"operation '{name}': no setting '{key}'; {nearest(key, known)}")
    hints = get_type_hints(function)
    return {
        key: from_value(f"operation '{name}': {key}", value, hints[key])
        for key, value in settings.items()
    }
