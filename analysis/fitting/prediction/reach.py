"""Distance of a prediction from the fitted rows, as a factor outside their range.

    beyond = max(x / largest fitted, smallest fitted / x, 1)

1 inside the range. The distance of a prediction is h = ln(beyond), the largest over its compute
6 params tokens, where the law has both, and over each variable of the law.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.tables.points import TIGHT, Array, distinct_values, values_needed
from scaling.common.errors import UserError, stated
from scaling.laws import Law

NEAR = 1.001  # factors up to this are rounding


def numbers_of(name: str, values: ArrayLike) -> Array:
    """Values to predict at, as float64.

    Raises:
        UserError: text, a ragged list, or no value at all.
    """
    try:
        found = np.asarray(values)
        if found.dtype.kind in "bcmM":  # truth, complex numbers and dates
            raise TypeError
        found = found.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{stated(name, values)}: give a number or an array of numbers") from error
    if not found.size:
        raise UserError(f"{name}: no value is given, so there is nothing to predict")
    return found


def one_number(name: str, value: Any) -> float:
    """A value that a run or a budget may have.

    Raises:
        UserError: it is no number, several, not finite or not positive.
    """
    found = numbers_of(name, value)
    if found.ndim or not 0 < found < math.inf:
        raise UserError(f"{stated(name, value)}: give one finite and positive number")
    return float(found)


def beyond(values: ArrayLike, fitted: Array) -> Array:
    """The factor by which each value lies outside the fitted range; 1 inside."""
    at = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):  # farther than a number can say: infinite
        found = np.maximum(at / fitted.max(), fitted.min() / at)
    return np.where(found > 1 + TIGHT, found, 1.0)


def size_of(variables: Mapping[str, Array]) -> Array:
    """The scale of each row: its compute 6 params tokens where a law has both, else the product of
    its variables. A variable named loss falls as the scale grows."""
    if {"params", "tokens"} <= variables.keys():
        with np.errstate(over="ignore"):
            return 6 * variables["params"] * variables["tokens"]
    parts = [1 / each if name == "loss" else each for name, each in variables.items()]
    return np.asarray(np.prod(parts, axis=0))


def factors(asked: Mapping[str, ArrayLike], fitted: Mapping[str, Array]) -> dict[str, Array]:
    """`beyond` of the compute, where the law has params and tokens, and of each variable."""
    found = {name: beyond(asked[name], each) for name, each in fitted.items()}
    if {"params", "tokens"} <= fitted.keys():
        at = {name: np.asarray(asked[name], np.float64) for name in ("params", "tokens")}
        return {"compute": beyond(size_of(at), size_of(fitted)), **found}
    return found


def distance(factors: Mapping[str, Array]) -> Array:
    """h = ln of the largest factor; 0 inside the fitted rows."""
    return np.log(np.max(np.broadcast_arrays(*factors.values()), axis=0))


def trend(size: Array, loss: Array) -> float:
    """The fall of ln L over an e-fold of size: sqrt(slope^2 + se^2) of a straight line through the
    rows, so that rows that tell no slope promise a steep one."""
    x, y = np.log(size) - np.log(size).mean(), np.log(loss) - np.log(loss).mean()
    square = max(float(x @ x), TIGHT)
    slope = float(x @ y) / square
    error = float(np.sum((y - slope * x) ** 2)) / max(len(x) - 2, 1) / square
    return math.hypot(slope, math.sqrt(error))


def far(factors: Mapping[str, Array]) -> str:
    """The largest factor of each quantity in words, or nothing where all lie inside."""
    worst = {name: float(np.max(each)) for name, each in factors.items()}
    outside = [f"{name} {factor:.3g} x" for name, factor in worst.items() if factor > NEAR]
    return f"{', '.join(outside)} outside the fitted rows" if outside else ""


def check_reach(law: Law, fitted: Mapping[str, Array], asked: Mapping[str, ArrayLike]) -> None:
    """Refuse points that the fitted rows do not determine.

    Raises:
        UserError: a value that is no positive number, a variable of too few fitted values, shapes
            that do not go together, or a point off the line on which all fitted rows lie.
    """
    logs = []
    for name, value in asked.items():
        numbers = numbers_of(name, value)
        if not (np.isfinite(numbers) & (numbers > 0)).all():
            raise UserError(f"{stated(name, value)}: must be finite and positive")
        logs.append(np.log(numbers))
        seen = distinct_values(np.log(fitted[name]))
        known = np.isclose(logs[-1][..., None], seen, rtol=0, atol=1e-6).any(axis=-1)
        if len(seen) < values_needed(law) and not known.all():
            raise UserError(
                f"{stated(name, value)}: the fitted rows hold only {len(seen)} value(s) of {name}, "
                "so the fit determines no other value; add runs at more values"
            )
    try:
        stacked = np.stack(np.broadcast_arrays(*logs)).reshape(len(logs), -1)
    except ValueError as error:
        shapes = ", ".join(f"{name} {log.shape}" for name, log in zip(asked, logs, strict=True))
        raise UserError(f"predict: shapes that do not go together: {shapes}") from error
    log_x = np.log(np.stack([fitted[name] for name in asked]))
    centre = log_x.mean(axis=1, keepdims=True)
    basis, strength, _ = np.linalg.svd(log_x - centre, full_matrices=False)
    basis = basis[:, strength > TIGHT * max(strength.max(), TIGHT)]
    offset = stacked - centre
    if np.abs(offset - basis @ (basis.T @ offset)).max() > 1e-6:
        raise UserError(
            f"the fitted rows tie {' and '.join(law.variables)} together, and this point "
            "is off that line; add runs that vary them apart"
        )
