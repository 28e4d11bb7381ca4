"""Arguments of a fit: laws by name, tables in any shape, whole numbers, and the default columns.

A variable that no argument names has the column of the law's own definition, then that of its own
name, then the usual one, then one whose name says it. An argument that this fit would not use is
refused.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.solvers.objective import MAD, Objective, objective
from analysis.tables.columns import remedy
from analysis.tables.derived import completed, plain
from analysis.tables.files import load_table
from analysis.tables.population import is_ours
from analysis.tables.words import WORDS, columns_saying
from scaling.common.errors import UserError, nearest, stated
from scaling.laws import Law, by_name

if TYPE_CHECKING:
    import pandas as pd

USUAL = {"params": "params_total", "x": "flops_6nd", "flops": "flops_6nd"}
COUNTS = {  # columns of one quantity by different definitions
    "params": ("params_total", "params_nonembedding", "params_active"),
    "flops": ("flops_6nd", "flops_6nd_nonembedding", "flops_model", "flops_chinchilla"),
}


def as_law(law: Any) -> Law:
    """A law, or the one of that name."""
    if isinstance(law, Law):
        return law
    if isinstance(law, str):
        return by_name(law)
    raise UserError(f"law: give a Law or the name of one, not {type(law).__name__}")


def as_table(table: Any) -> pd.DataFrame:
    """A DataFrame of a DataFrame, a file, a mapping of columns or a list of rows as mappings."""
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        if table.columns.nlevels > 1:
            raise UserError(
                f"table: its columns have {table.columns.nlevels} levels of names; give them one, "
                "as with table.columns.map('_'.join)"
            )
        return _of_cells(table)
    if isinstance(table, str | Path):
        return load_table(table)
    rows = isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table)
    if not (isinstance(table, Mapping) or rows):
        raise UserError(
            "table: give a DataFrame, a file, a mapping from columns to values or a list of such "
            f"rows, not {type(table).__name__}"
        )
    try:
        return _of_cells(pd.DataFrame(table))
    except ValueError as error:
        raise UserError(f"table: {error}") from error


def _of_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table, with the number that each array or tensor without axes holds, such as a loss."""
    objects = [at for at, kind in enumerate(table.dtypes) if kind.kind == "O"]
    held = [at for at in objects if any(map(_is_scalar, table.iloc[:, at]))]
    if not held:
        return table
    table = table.copy()
    for at in held:
        plain = [cell.item() if _is_scalar(cell) else cell for cell in table.iloc[:, at]]
        table.isetitem(at, plain)
    return table


def _is_scalar(cell: Any) -> bool:
    return getattr(cell, "ndim", None) == 0 and not isinstance(cell, np.generic)


def whole(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least `least`, also one that is written as 1e3."""
    number = isinstance(value, float | np.floating) and math.isfinite(value)
    number = number or (isinstance(value, int | np.integer) and not isinstance(value, bool))
    if not number or value != int(value) or value < least:
        raise UserError(f"{stated(name, value)}: give a whole number of at least {least}")
    return int(value)


def check_name(argument: str, column: object) -> None:
    """Refuse a list, or anything else that names no one column."""
    if not isinstance(column, Hashable):
        raise UserError(f"{stated(argument, column)}: give the name of one column")


def columns_of(
    law: Law, table: pd.DataFrame, short: Mapping[str, str | None], named: Mapping[str, str] | None
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The table with columns that follow from others, the column of each variable, and notes on
    defaults that could have been others.

    Raises:
        UserError: a variable that the law has not, or one that is named twice.
    """
    if named is not None and not isinstance(named, Mapping):
        raise UserError("columns: give a mapping from variables of the law to columns")
    if len(table) == 0:
        raise UserError("the table has no rows: nothing to fit")
    given = dict(named or {})
    for name, column in (*given.items(), *short.items()):
        check_name(name, column)
    for name, column in short.items():
        if column is None:
            continue
        if given.setdefault(name, column) != column:
            raise UserError(f"{name}: named twice, as column '{given[name]}' and as '{column}'")
    for name in given:
        if name not in law.variables:
            flags = ", ".join(
                f"--{each}" if each in short else f"--column {each}=" for each in law.variables
            )
            raise UserError(
                f"law '{law.name}' has no variable '{name}'; {nearest(name, law.variables)} "
                f"({flags})"
            )
    notes: list[str] = []
    table = completed(table, given.get("params"), given.get("tokens"))
    given = {name: plain(table, column) for name, column in given.items()}
    for name in law.variables:
        if name not in given:
            given[name], note = _default(law, table, name)
            notes += [note] if note else []
    return table, {name: given[name] for name in law.variables}, notes


def _default(law: Law, table: pd.DataFrame, name: str) -> tuple[str, str]:
    """The column of a variable that was not named, and a note where it could be another."""
    there, own = set(map(str, table.columns)), law.columns.get(name)
    tried = [own, name] if own else [name, USUAL.get(name, name)]
    found = next((column for column in tried if column in there), None)
    if found is None:
        return _by_words(table, name, own or tried[-1], bool(own))
    family = next((each for each in COUNTS.values() if own in each or USUAL.get(name) in each), ())
    named = [each for each in family if found in family and each in there]
    others = _others(table, found, [*named, *_saying(table, own or USUAL.get(name, name))])
    return found, f"{name} is column {found}; the table also has {others}" if others else ""


def _saying(table: pd.DataFrame, quantity: str) -> list[str]:
    """The columns whose names say a quantity, in a table of anybody's: ours have one meaning."""
    known = quantity in WORDS and not is_ours(table)
    return columns_saying(quantity, table.columns) if known else []


def _others(table: pd.DataFrame, found: str, columns: Sequence[str]) -> str:
    """The names of the columns that differ from the one taken."""
    apart = (each for each in dict.fromkeys(columns) if not table[each].equals(table[found]))
    return ", ".join(apart)


def _by_words(table: pd.DataFrame, name: str, quantity: str, is_own: bool) -> tuple[str, str]:
    """The column whose name says the quantity of a variable, and a note that it was taken."""
    wanted = (quantity, "flops") if quantity == "flops_6nd" else (quantity,)
    columns = [c for each in wanted if each in WORDS for c in columns_saying(each, table.columns)]
    if not columns:
        counted = f" (the law counts {name} as {quantity})" if is_own else ""
        raise UserError(
            f"the table has no column '{quantity}'{counted}: name the column with {name}=... or "
            f"columns={{'{name}': ...}}; {remedy(table, quantity)}"
        )
    return columns[0], taken(name, columns)


def taken(name: str, columns: Sequence[str]) -> str:
    """A note on the first of these columns, whose names say the same."""
    others = f"; the table also has {', '.join(columns[1:])}" if columns[1:] else ""
    return f"{name} is column {columns[0]}, by its name{others}"


def loss_of(table: pd.DataFrame, loss: str) -> tuple[str, tuple[str, ...]]:
    """The column of the loss, and a note where a name tells another, or a clearer one."""
    check_name("loss", loss)
    if loss != "loss":
        return loss, ()
    if loss not in table.columns:
        columns = columns_saying(loss, table.columns)
        return (columns[0], (taken(loss, columns),)) if columns else (loss, ())
    saying = _saying(table, loss)  # the clearest first: a bare `loss` may be that of training
    clearer = _others(table, loss, saying[: saying.index(loss)] if loss in saying else [])
    return loss, ((f"loss is column loss; the table also has {clearer}",) if clearer else ())


def chosen_objective(name: str, delta: float | str | None) -> Objective | None:
    """The objective; None where delta is "mad", to be measured on a first fit.

    Raises:
        UserError: a Huber width for an objective that has none.
    """
    if delta is None:
        return objective(name, 1e-3)
    is_number = isinstance(delta, int | float | np.number) and np.isreal(delta)
    if not (is_number or (isinstance(delta, str) and delta == MAD)):
        raise UserError(f"{stated('delta', delta)}: give a positive number or 'mad'")
    plain = objective(name, 1e-3)
    if not name.endswith("huber") and delta != plain.delta:
        raise UserError(f"delta={delta}: objective {name} has no Huber width; leave delta out")
    return None if delta == MAD else objective(name, float(delta))


def refuse_idle(bootstrap: int, **of_resamples: object) -> None:
    """Refuse arguments of the resamples where there are none."""
    idle = [name for name, value in of_resamples.items() if value is not None]
    if idle and not bootstrap:
        raise UserError(f"{' and '.join(idle)}: nothing is resampled without bootstrap=1000")
