"""Conditions that choose rows of a table: `flops_6nd>1e15`, `rung>=3 and seed==0 or n<1.2B`.

A condition compares a column with a value or another column; `and` binds closer than `or`.
Cells that are numbers compare as numbers, others by == and != alone; `column==*` takes every value.
`tokens==last of run_id` takes the row of most tokens of each run, and a row without a run.
A value may stand in quotes, and must if it contains the words and or or. A row with an empty column
meets no condition.
"""

from __future__ import annotations

import operator
import re
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from analysis.tables.columns import Mask, column_of, is_identifier, is_truth, numeric, texts
from analysis.tables.number_text import number
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
TURNED = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "==", "!=": "!="}
OUTSIDE_QUOTES = r"""(?=(?:[^'"]|'[^']*'|"[^"]*")*$)"""
AND = re.compile(rf"(?:\s+and\s+|\s*&&?\s*){OUTSIDE_QUOTES}", re.I)
OR = re.compile(rf"(?:\s+or\s+|\s*\|\|?\s*){OUTSIDE_QUOTES}", re.I)
LAST = re.compile(r"last of\s+(.+)", re.I)
NAMED = 20  # values that an error lists
CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|==|!=|>|<)\s*([^<>=!].*?)\s*")
GRAMMAR = (
    "write column, comparison and value, such as 'flops_6nd>1e15', joined by and or or, "
    "without brackets"
)
CHOSEN = "chosen"  # attribute of a table: the conditions that chose its rows, with their columns


def where(table: pd.DataFrame, query: str | None) -> pd.DataFrame:
    """The rows that meet a condition, or all of them where there is none.

    A column that the condition names is decided about: no rule leaves out rows by it any more.
    """
    if query is None:
        return table
    if not isinstance(query, str):
        raise UserError("where: give a condition such as 'loss<4'; a mask chooses by table[mask]")
    if not hasattr(table, "loc"):
        raise UserError(f"where: give a DataFrame, not {type(table).__name__}")
    if not len(table):
        raise UserError(f"rows '{query}': the table has no rows")
    found = table.loc[rows(table, query)]
    if found.empty:
        raise UserError(f"rows '{query}': none of the {len(table)} rows is left")
    found.attrs[CHOSEN] = {**table.attrs.get(CHOSEN, {}), query: columns_in(table, query)}
    return found


def chosen(table: pd.DataFrame) -> tuple[str, ...]:
    """The columns that conditions have named."""
    return tuple(chain.from_iterable(table.attrs.get(CHOSEN, {}).values()))


def conditions(table: pd.DataFrame) -> tuple[str, ...]:
    """The conditions that chose these rows, one after another."""
    return tuple(table.attrs.get(CHOSEN, {}))


def columns_in(table: pd.DataFrame, query: str) -> tuple[str, ...]:
    """The columns that a condition names."""
    parts = [part for either in OR.split(query.strip()) for part in AND.split(either)]
    return tuple(dict.fromkeys(name for part in parts for name in _read(table, part)[0]))


def rows(table: pd.DataFrame, query: str) -> Mask:
    """True for the rows that meet the conditions."""
    met = np.zeros(len(table), dtype=bool)
    for either in OR.split(query.strip()):
        every = np.ones(len(table), dtype=bool)
        for part in AND.split(either):
            every &= _met(table, part)
        met |= every
    return met


def _read(table: pd.DataFrame, part: str) -> tuple[tuple[str, ...], str, str]:
    """The columns of a condition, one or two, its comparison, and the value on the right."""
    found = CONDITION.fullmatch(part)
    if found is None:
        raise UserError(f"rows '{part}': {GRAMMAR}")
    left, compare, right = found.groups()
    column, other = _unquoted(left), _unquoted(right)
    if column not in table.columns and other in table.columns:
        return (other,), TURNED[compare], column
    if column not in table.columns:
        hint = nearest(column, map(str, table.columns))
        asked = f"; {GRAMMAR}" if column[:1] in "(!" or column.lower().startswith("not ") else ""
        raise UserError(f"rows '{part}': no column '{column}'; {hint}{asked}")
    both = right == other in table.columns and column_of(table, column).dtype.kind in "iuf"
    return (column, other) if both else (column,), compare, other


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`"
    return text[1:-1] if quoted else text


def _met(table: pd.DataFrame, part: str) -> Mask:
    names, compare, value = _read(table, part)
    column = column_of(table, names[0])
    there = column.notna().to_numpy()
    if value == "*" and compare == "==":
        return np.asarray(there)
    if compare == "==" and (of := LAST.fullmatch(value)):
        return _last(column, texts(column_of(table, _unquoted(of[1]))).tolist())
    if len(names) == 2:
        left, right = (numeric(column_of(table, name)) for name in names)
        with np.errstate(invalid="ignore"):
            return np.asarray(COMPARE[compare](left, right) & ~np.isnan(left) & ~np.isnan(right))
    return _compared(column, compare, value) & there


def _last(column: pd.Series, runs: list[str | float]) -> Mask:
    """True for the row with the greatest value of each run, the later of equal ones. A row without
    a run is one by itself."""
    values = numeric(column)
    there = np.flatnonzero(~np.isnan(values))
    if not there.size:
        raise UserError(f"rows: column '{column.name}' holds no numbers, so no row is the last")
    order = there[np.argsort(values[there], kind="stable")].tolist()
    last = {runs[at] if isinstance(runs[at], str) else at: at for at in order}
    met = np.zeros(len(values), dtype=bool)
    met[list(last.values())] = True
    return met


def _compared(column: pd.Series, compare: str, text: str) -> Mask:
    equal = compare in ("==", "!=")
    named = is_identifier(column.name) and column.dtype.kind not in "iuf"
    if not (truth := is_truth(column)) and not (equal and named):
        values = numeric(column)
        numbered = ~np.isnan(values)
        whole = (numbered | column.isna().to_numpy()).all()
        # text with a number here and there is compared as numbers by order alone
        if (whole or not equal) and numbered.any():
            return _as_numbers(column, values, compare, text)
    if not equal:
        raise UserError(f"rows: column '{column.name}' holds text: use == or !=")
    cells = texts(column)
    if truth and text.lower() in ("true", "false"):
        text = text.capitalize()
    met = np.asarray(COMPARE[compare](cells.to_numpy(), text), dtype=bool)
    if compare == "==" and not met.any():
        known = sorted(cells.dropna().unique())
        hint = nearest(text, known) if len(known) <= NAMED else f"but {len(known)} other values"
        raise UserError(f"rows: column '{column.name}' holds no '{text}'; {hint}")
    return met


def _as_numbers(column: pd.Series, values: np.ndarray, compare: str, text: str) -> Mask:
    value = number(text)
    if value is None:
        raise UserError(f"rows: column '{column.name}' holds numbers, not '{text}'; {GRAMMAR}")
    met = np.asarray(COMPARE[compare](values, value) & ~np.isnan(values))
    if compare == "==" and not met.any() and len(values):
        near = values[np.nanargmin(np.abs(values - value))]
        raise UserError(f"rows: column '{column.name}' holds no {text}; the nearest is {near:.10g}")
    return met
