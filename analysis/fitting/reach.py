"""Distance of a prediction from the fitted rows, as a factor outside their range.

    beyond = max(x / largest fitted, smallest fitted / x, 1)

1 inside the range. An interval of the constants says nothing about the error of a law out there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from analysis.tables.points import Array
from scaling.common.errors import UserError

NEAR = 1.001  # factors up to this are rounding


def numbers_of(name: str, values: ArrayLike) -> Array:
    """Values to predict at, as float64.

    Raises:
        UserError: text, a ragged list, or no value at all.
    """
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}={values!r}: give a number or an array of numbers") from error
    if not found.size:
        raise UserError(f"{name}: no value is given, so there is nothing to predict")
    return found


def beyond(values: ArrayLike, fitted: Array) -> Array:
    """The factor by which each value lies outside the fitted range; 1 inside."""
    at = np.asarray(values, np.float64)
    return np.maximum(np.maximum(at / fitted.max(), fitted.min() / at), 1.0)


def far(factors: Mapping[str, Array]) -> str:
    """The largest factor of each quantity in words, or nothing where all lie inside."""
    worst = {name: float(np.max(each)) for name, each in factors.items()}
    outside = [f"{name} {factor:.3g} x" for name, factor in worst.items() if factor > NEAR]
    return f"{', '.join(outside)} outside the fitted rows" if outside else ""
