"""Runs of a table, sorted into cells: one for each combination of the columns not tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.tables.points import Array, select
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cells:
    """n runs in G cells. `log_cell` (G, K) and `log_hyper` (n, H) are natural logarithms; `member`
    (n,) is the cell of each run, and `excess` (n,) its loss over the least of its cell, less one.
    """

    cell: tuple[str, ...]
    hyper: tuple[str, ...]
    log_cell: Array
    log_hyper: Array
    member: NDArray[np.intp]
    loss: Array
    excess: Array
    rows: pd.DataFrame
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.log_cell)

    def values(self, at: int) -> dict[str, float]:
        """Values that one cell holds fixed, in the units of the table."""
        return dict(zip(self.cell, np.exp(self.log_cell[at]).tolist(), strict=True))


def cells(table: pd.DataFrame, cell: tuple[str, ...], hyper: tuple[str, ...], loss: str) -> Cells:
    """Sort the rows of a table into cells.

    Runs of this project's records that are held out or did not complete are left out, with a note.
    Raises UserError for rows that are not finite and positive in these columns, and names them.
    """
    if not cell or not hyper:
        raise UserError("cell and hyper: name at least one column of the table in each")
    twice = sorted(set(cell) & set(hyper))
    if twice:
        raise UserError(f"hyper='{twice[0]}' is also a column of the cell: it is one or the other")
    for name in (*cell, *hyper):
        _check_logs(table, name)
    points = select(table, {name: name for name in (*cell, *hyper)}, loss, None, 0)
    fixed = np.log(np.stack([points.variables[name] for name in cell], axis=1))
    # one size read from two logs may differ in the last digit
    _, first, member = np.unique(fixed.round(9), axis=0, return_index=True, return_inverse=True)
    member = member.reshape(-1)
    least = np.full(len(first), np.inf)
    np.minimum.at(least, member, points.loss)
    return Cells(
        cell=cell,
        hyper=hyper,
        log_cell=fixed[first],
        log_hyper=np.log(np.stack([points.variables[name] for name in hyper], axis=1)),
        member=member,
        loss=points.loss,
        excess=points.loss / least[member] - 1,
        rows=points.rows,
        notes=points.notes,
    )


def _check_logs(table: pd.DataFrame, column: str) -> None:
    """Refuse text and zeros, with the remedy: optima are fitted in logarithms of numbers."""
    import pandas as pd

    if column not in table.columns:
        return  # `select` names the nearest
    given = table[column].dropna()
    values = pd.to_numeric(given, errors="coerce")
    if len(given) and values.isna().all():
        shown = ", ".join(map(str, given.unique()[:3]))
        raise UserError(
            f"column '{column}' holds text ({shown}), and cells are told apart by numbers: fit one "
            "value of it at a time"
        )
    if zeros := int((values == 0).sum()):
        raise UserError(
            f"column '{column}' is 0 in {zeros} row(s), and its law is of logarithms: leave these "
            "rows out"
        )


def describe(values: Mapping[str, float]) -> str:
    """A cell in words, for a message."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def check_within(within: float) -> None:
    if not within > 0:
        raise UserError(
            f"within={within}: give a positive share of the least loss, such as 0.02 for 2 %"
        )
