"""Columns of a table as numbers, and names of its rows.

One rule says which cells are numbers, wherever a column is read: in a file, a condition or a fit.
Text such as `1.2B` counts; a missing cell is nan, and never the text "nan".
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.tables.number_text import (
    MISSING,
    Mark,
    cause,
    decimal_mark,
    is_missing,
    is_scaled,
    number,
    unit,
)
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
NAMED = 5  # rows that a message lists before it counts the rest
SPAN = (1e-150, 1e150)  # numbers whose squares are still numbers
NOT_REAL = "mMc"  # kinds of columns: times and complex numbers
LINE = "line"  # name of an index that holds lines of a file
RUNS = ("run_id", "run id", "run_name", "run name", "run", "name", "id", "trial_id", "uuid")
IDENTIFIER = re.compile(r"(^|[^a-z])(id|ids|name|run|uuid|hash|sha|commit|key|label|tag|group)$")
TRUE, FALSE = ("true", "yes"), ("false", "no")


def is_identifier(column: object) -> bool:
    """True for a column whose name says that its values are names: `run_id`, `config/label`."""
    return bool(IDENTIFIER.search(str(column).strip().lower()))


def column_of(table: pd.DataFrame, name: str) -> pd.Series:
    """The one column of that name, or a UserError."""
    import pandas as pd

    if not isinstance(name, Hashable):
        raise UserError(f"column {name!r}: give the name of one column")
    if name not in table.columns:
        raise UserError(f"the table has no column '{name}': {remedy(table, name)}")
    found = table[name]
    if isinstance(found, pd.DataFrame):
        raise UserError(f"the table has more than one column '{name}': rename all but one")
    return found


def remedy(table: pd.DataFrame, name: str) -> str:
    """The nearest column to one that is absent, or a word about a history with a column a run."""
    known = [str(column) for column in table.columns]
    curves = [column for column in known if " - " in column]
    if len(curves) > len(known) / 2:
        return (
            f"it is a history with a column for each run ({listed(curves)}); "
            "export a row for each run, with its size, tokens and loss"
        )
    return nearest(name, known)


def texts(column: pd.Series) -> pd.Series:
    """Every cell as text; a missing cell stays missing."""
    return column.astype(object).where(column.notna()).map(str, na_action="ignore")


def named(table: pd.DataFrame, column: str) -> pd.Series:
    """A column that tells rows apart, as text, or a UserError that names the rows without it."""
    found = texts(column_of(table, column))
    if (gaps := found.isna().to_numpy()).any():
        empty = listed([row for row, gap in zip(row_labels(table), gaps, strict=True) if gap])
        raise UserError(
            f"column '{column}' is empty ({empty}): fill it in, or leave these rows out with "
            f"--where '{column}==*'"
        )
    return found


def numeric(column: pd.Series, mark: Mark | None = None) -> Array:
    """The cells as float64; nan for a cell that is missing or no number.

    `mark` is the decimal mark of text, judged by the column where it is not given.
    """
    import pandas as pd

    if column.dtype.kind in NOT_REAL:
        return np.full(len(column), np.nan)
    plain = column.astype(object) if column.dtype.kind == "O" else column
    values = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wanting = np.isnan(values) & column.notna().to_numpy()
    if wanting.any():
        values = values.copy()
        cells = texts(column[wanting])
        judged = decimal_mark(cells.unique()) if mark is None else mark
        values[wanting] = cells.map({each: _number(each, judged) for each in cells.unique()})
    return values


def _number(text: str, mark: Mark) -> float:
    found = number(text, mark)
    return np.nan if found is None else found


def is_truth(column: pd.Series) -> bool:
    """True for a column of true and false, with or without missing cells."""
    if column.dtype.kind == "O":
        there = column.dropna()
        return bool(len(there)) and all(isinstance(cell, bool | np.bool_) for cell in there)
    return column.dtype.kind == "b"


def tidy(column: pd.Series) -> pd.Series:
    """Text without blanks around it; cells that stand for nothing are missing."""
    stripped = column.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    gaps = [isinstance(cell, str) and is_missing(cell) for cell in stripped]
    return stripped.mask(np.array(gaps, bool))


def typed(column: pd.Series, mark: Mark) -> pd.Series:
    """A tidy column as all its cells say: numbers, true and false, or else text."""
    import pandas as pd

    there = column.notna()
    if not there.any():
        return column.astype(np.float64)
    words = texts(column[there]).str.lower()
    if words.isin((*TRUE, *FALSE)).all():
        truth = words.isin(TRUE)
        return truth if there.all() else truth.astype(object).reindex(column.index)
    plain = pd.to_numeric(column, errors="coerce")
    if (plain.notna() | ~there).all():
        return plain
    values = numeric(column, mark)
    if np.isnan(values[there.to_numpy()]).any() or len(_units(column)) > 1:
        return texts(column)
    if _unscaled(column, values).any():
        return texts(column)
    return pd.Series(values, index=column.index, name=column.name)


def _units(column: pd.Series) -> set[str]:
    return {unit(cell) for cell in texts(column).dropna().unique()}


def _unscaled(column: pd.Series, values: Array) -> Mask:
    """True for numbers without K, M, B or T that are a thousandth of any with one, or less: `0.35`
    beside `1.2B`."""
    cells = texts(column)
    known = {cell: is_scaled(cell) for cell in cells.dropna().unique()}
    scaled = cells.map(known).eq(True).to_numpy(bool)
    if not scaled.any():
        return scaled
    size = np.abs(values)
    return np.asarray(~scaled & (size > 0) & (size <= np.nanmin(size[scaled]) / 1e3))


def numbers(table: pd.DataFrame, column: str, labels: list[str]) -> Array:
    """One column as finite positive float64, or an error that names the rows that are not."""
    found = column_of(table, column)
    if found.dtype.kind in NOT_REAL:
        raise UserError(f"column '{column}' holds {found.dtype}, not real numbers")
    values = numeric(found)
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        raise UserError(
            f"column '{column}' must be finite and positive "
            f"({listed([_said(found, at, labels) for at in bad.tolist()])}); "
            f"mend these rows, or choose others with --where '{column}>0'"
        )
    if found.dtype.kind not in "biuf":
        if len(kinds := _units(found)) > 1:
            raise UserError(
                f"column '{column}' mixes units ({', '.join(map(repr, sorted(kinds)))})"
            )
        if (bare := np.flatnonzero(_unscaled(found, values))).size:
            small = listed([_said(found, at, labels) for at in bare.tolist()])
            raise UserError(
                f"column '{column}' has numbers with K, M, B or T, and others far smaller without "
                f"({small}): write all alike"
            )
    if values.min(initial=1.0) < SPAN[0] or values.max(initial=1.0) > SPAN[1]:
        raise UserError(
            f"column '{column}' runs from {values.min():g} to {values.max():g}: choose a unit that "
            f"keeps it between {SPAN[0]:g} and {SPAN[1]:g}"
        )
    return values


def _said(column: pd.Series, at: int, labels: list[str]) -> str:
    """A cell that is no positive number, with its row and the reason where it is text."""
    cell = column.iloc[at]
    if not isinstance(cell, str) or cell.strip().lower() in (*MISSING, "inf", "-inf"):
        return f"{labels[at]}: {cell}"
    mark = decimal_mark(texts(column).dropna().unique())
    why = "" if number(cell, mark) is not None else f", {cause(cell, mark)}"
    return f"{labels[at]}: {cell}{why}"


def listed(names: Sequence[str], between: str = ", ") -> str:
    """The first few names, and the number of the others."""
    more = "" if len(names) <= NAMED else f"{between}and {len(names) - NAMED} more"
    return between.join(names[:NAMED]) + more


def aligned(values: Any, table: pd.DataFrame, what: str) -> Any:
    """Values for the rows of a table; a Series by its labels, of these rows and maybe others."""
    import pandas as pd

    if not isinstance(values, pd.Series) or values.index.equals(table.index):
        return values
    known = table.index.is_unique and values.index.is_unique
    if not known or not table.index.isin(values.index).all():
        raise UserError(
            f"{what}: the labels of its index are not those of the table's rows; give "
            ".to_numpy() to go by position"
        )
    return values.reindex(table.index)


def row_labels(table: pd.DataFrame) -> list[str]:
    """A name for each row: its run where a column tells runs apart, else its line or index.

    Rows of one run, as its checkpoints are, have its name and their line.
    """
    rows = [f"{LINE if table.index.name == LINE else 'row'} {name}" for name in table.index]
    by_name = {str(column).lower(): column for column in table.columns}
    shared: list[str] = []
    for known in RUNS:
        if known not in by_name:
            continue
        names = texts(column_of(table, by_name[known]))
        if known == "run_id" or (names.notna().all() and names.is_unique):
            return [row if gap else name for name, row, gap in
                    zip(names, rows, names.isna(), strict=True)]  # fmt: skip
        if not shared and names.notna().all() and names.nunique() > 1:
            again = names.duplicated(keep=False)
            shared = [f"{name}, {row}" if twice else name for name, row, twice in
                      zip(names, rows, again, strict=True)]  # fmt: skip
    return shared or rows
