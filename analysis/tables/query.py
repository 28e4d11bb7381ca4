"""Conditions that choose rows of a table: `flops_6nd>1e15`, `rung>=3 and seed==0`.

Numbers compare as numbers, text and true or false by == and != alone. A value may stand in quotes,
and must if it contains the word and. A row with an empty column meets no condition.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
AND = re.compile(r"""\s+and\s+(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""")  # outside quotes
NAMED = 20  # values that an error lists
CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|==|!=|>|<)\s*([^<>=!].*?)\s*")


def rows(table: pd.DataFrame, query: str) -> Mask:
    """True for the rows that meet every condition, joined by `and`."""
    chosen = np.ones(len(table), dtype=bool)
    for part in AND.split(query.strip()):
        found = CONDITION.fullmatch(part)
        if found is None:
            raise UserError(
                f"rows '{part}': write column, comparison and value, such as 'flops_6nd>1e15'"
            )
        column, compare, text = found.groups()
        if column not in table.columns:
            raise UserError(
                f"rows '{part}': no column '{column}'; {nearest(column, map(str, table.columns))}"
            )
        chosen &= _compared(table[column], compare, text.strip("'\""))
    return chosen


def _compared(column: pd.Series, compare: str, text: str) -> Mask:
    import pandas as pd

    there = column.notna().to_numpy()
    kind = pd.api.types
    if kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column):
        try:
            value: float | str = float(text)
        except ValueError as error:
            raise UserError(f"rows: column '{column.name}' holds numbers, not '{text}'") from error
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        return np.asarray(COMPARE[compare](numbers, value)) & there
    if compare not in ("==", "!="):
        raise UserError(f"rows: column '{column.name}' holds text: use == or !=")
    met = np.asarray(COMPARE[compare](column.astype(str).to_numpy(), text)) & there
    if compare == "==" and not met.any():
        known = sorted({str(value) for value in column[there]})
        hint = nearest(text, known) if len(known) <= NAMED else f"but {len(known)} other values"
        raise UserError(f"rows: column '{column.name}' holds no '{text}'; {hint}")
    return met
