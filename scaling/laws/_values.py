"""Named values that a law is asked at: exactly the wanted names, as float64 that broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.common.errors import UserError, nearest


def require(wanted: tuple[str, ...], given: Mapping[str, object], what: str) -> None:
    """Exactly the wanted names, else one line that says which is wrong."""
    for name in given:
        if name not in wanted:
            raise UserError(f"{what}: unknown '{name}'; {nearest(name, wanted)}")
    for name in wanted:
        if name not in given:
            raise UserError(f"{what}: '{name}' is missing; needed: {', '.join(wanted)}")


def float64(values: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Values as arrays; a UserError where their labels differ or they do not broadcast."""
    series: dict[str, Any] = {  # pandas' Index has no labels of its own
        name: each for name, each in values.items() if {"reindex", "index"} <= set(dir(each))
    }
    labels = {name: each.index for name, each in series.items()}
    if any(not each.equals(other) for each, other in pairwise(labels.values())):
        raise UserError(
            f"{', '.join(labels)}: the labels of their indexes differ; align them, or give "
            ".to_numpy() to go by position"
        )
    try:
        if odd := [name for name, value in values.items() if np.iscomplexobj(value)]:
            raise UserError(f"{', '.join(odd)}: complex, not real numbers")
        arrays = {name: np.asarray(value, np.float64) for name, value in values.items()}
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{', '.join(values)}: {str(error).splitlines()[0]}") from error
    return arrays
