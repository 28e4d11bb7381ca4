"""Arguments of a fit: laws by name, tables in any shape, whole numbers, and the default columns.

A variable that no argument names has the column of the law's own definition, then the column of its
own name, then the usual one. An argument that this fit would not use is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.solvers.objective import MAD, Objective, objective
from analysis.tables.columns import remedy
from analysis.tables.files import load_table
from scaling.common.errors import UserError, nearest
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
        return table
    if isinstance(table, str | Path):
        return load_table(table)
    rows = isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table)
    if not (isinstance(table, Mapping) or rows):
        raise UserError(
            "table: give a DataFrame, a file, a mapping from columns to values or a list of such "
            f"rows, not {type(table).__name__}"
        )
    try:
        return pd.DataFrame(table)
    except ValueError as error:
        raise UserError(f"table: {error}") from error


def whole(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least `least`, also one that is written as 1e3."""
    number = isinstance(value, int | float | np.number) and np.isfinite(value)
    if not number or value != int(value) or value < least:
        raise UserError(f"{name}={value!r}: give a whole number of at least {least}")
    return int(value)


def columns_of(
    law: Law, table: pd.DataFrame, short: Mapping[str, str | None], named: Mapping[str, str] | None
) -> tuple[dict[str, str], list[str]]:
    """The column of each variable, and notes on defaults that could have been others.

    Raises:
        UserError: a variable that the law has not, or one that is named twice.
    """
    if named is not None and not isinstance(named, Mapping):
        raise UserError("columns: give a mapping from variables of the law to columns")
    if len(table) == 0:
        raise UserError("the table has no rows: nothing to fit")
    given = dict(named or {})
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
    for name in law.variables:
        if name not in given:
            given[name], others = _default(law, table, name)
            if others:
                notes.append(
                    f"{name} is column {given[name]}; the table also has {', '.join(others)}"
                )
    return {name: given[name] for name in law.variables}, notes


def _default(law: Law, table: pd.DataFrame, name: str) -> tuple[str, list[str]]:
    """The column of a variable that was not named, and other counts of it that differ."""
    there, own = set(map(str, table.columns)), law.columns.get(name)
    family = next((each for each in COUNTS.values() if own in each or USUAL.get(name) in each), ())
    tried = [own, name] if own else [name, USUAL.get(name, name)]
    found = next((column for column in tried if column in there), None)
    if found is None:
        counted, absent = f" (the law counts {name} as {own})" if own else "", own or tried[-1]
        raise UserError(
            f"the table has no column '{absent}'{counted}: name the column with {name}=... or "
            f"columns={{'{name}': ...}}; {remedy(table, absent)}"
        )
    if found not in family:
        return found, []
    others = [
        column
        for column in family
        if column in there and column != found and not table[column].equals(table[found])
    ]
    return found, others


def chosen_objective(name: str, delta: float | str | None) -> Objective | None:
    """The objective; None where delta is "mad", to be measured on a first fit.

    Raises:
        UserError: a Huber width for an objective that has none.
    """
    if delta is None:
        return objective(name, 1e-3)
    if isinstance(delta, str) and delta != MAD:
        raise UserError(f"delta='{delta}': give a positive number or 'mad'")
    plain = objective(name, 1e-3)
    if not name.endswith("huber") and delta != plain.delta:
        raise UserError(f"delta={delta}: objective {name} has no Huber width; leave delta out")
    return None if delta == MAD else objective(name, float(delta))


def refuse_idle(bootstrap: int, **of_resamples: object) -> None:
    """Refuse arguments of the resamples where there are none."""
    idle = [name for name, value in of_resamples.items() if value is not None]
    if idle and not bootstrap:
        raise UserError(f"{' and '.join(idle)}: nothing is resampled without bootstrap=1000")
