"""Quantities of a run that follow from two others, by C = 6 N D, or from a unit in a column's name.

A table with sizes and tokens has their compute; one with compute and either of them has the other.
One with `params (M)` has `params`. The column that is made keeps its formula, and a fit that uses
it says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from analysis.tables.columns import Array, numeric
from analysis.tables.words import columns_saying, in_unit
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", str, str | None)
FORMULAS = "derived"  # attribute of a table: the formula of each column that was made
SIZES = ("params_active", "params_total", "params_nonembedding")


def completed(
    table: pd.DataFrame, params: str | None = None, tokens: str | None = None
) -> pd.DataFrame:
    """The table with `flops_6nd`, `tokens` or `params` where it lacks one that the others give.

    A column whose name holds a unit has a column in full beside it.

    `params` and `tokens` name their columns; where they do not, names of columns tell.
    """
    if not table.columns.is_unique:
        return table
    table = _in_full(table)
    params, tokens = plain(table, params), plain(table, tokens)
    size = params or _first(table, SIZES)
    if size == "params_total" and "params_active" in table.columns:
        size = "params_active"  # the weights that a token meets
    data = tokens or _first(table, ("tokens",))
    compute = _first(table, ("flops_6nd", "flops"))
    n, d, c = (_numbers(table, column) for column in (size, data, compute))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if n is not None and d is not None and "flops_6nd" not in table.columns:
            return _with(table, "flops_6nd", 6 * n * d, f"6 x {size} x {data}")
        if c is not None and n is not None and data is None:
            return _with(table, "tokens", c / (6 * n), f"{compute} / (6 x {size})")
        if c is not None and d is not None and size is None:
            return _with(table, "params", c / (6 * d), f"{compute} / (6 x {data})")
    return table


def plain(table: pd.DataFrame, column: T) -> T:
    """The column in full of one whose name holds a unit; any other column itself.

    Raises:
        UserError: a name with a unit in it, and a column in full that is another.
    """
    found = in_unit(column) if column in table.columns else None
    if found is None or (full := _numbers(table, found[0])) is None:
        return column
    if np.allclose(full, found[1] * numeric(table[column]), equal_nan=True):
        return found[0]
    raise UserError(
        f"column '{column}' times {found[1]:g} is not column '{found[0]}': rename one of them"
    )


def _in_full(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column in full for each whose name holds a unit."""
    for column in table.columns:
        found = in_unit(column)
        if found is None or found[0] in table.columns or table[column].dtype.kind not in "iuf":
            continue
        name, factor = found
        table = _with(table, name, factor * numeric(table[column]), f"{factor:g} x {column}")
    return table


def formulas(table: pd.DataFrame, columns: Collection[str]) -> tuple[str, ...]:
    """A note for each of these columns that was made, not read, and for those that made it."""
    made = dict(table.attrs.get(FORMULAS, ()))
    used = [made[name] for name in columns if name in made]
    told = [name for name in made if name in columns or any(name in each for each in used)]
    return tuple(f"{name} = {made[name]}, derived" for name in told)


def _first(table: pd.DataFrame, quantities: Iterable[str]) -> str | None:
    """The clearest column of the first quantity that the table has."""
    found = (columns_saying(name, table.columns) for name in quantities)
    return next((columns[0] for columns in found if columns), None)


def _numbers(table: pd.DataFrame, column: str | None) -> Array | None:
    return numeric(table[column]) if column in table.columns else None


def _with(table: pd.DataFrame, name: str, values: Array, formula: str) -> pd.DataFrame:
    made = table.assign(**{name: values})
    made.attrs[FORMULAS] = (*table.attrs.get(FORMULAS, ()), (name, formula))
    return made
