"""The rows of a table that a fit may see, as checked float64 arrays.

A table of this project's records has `status` and `part`: runs that did not complete and held-out
runs are left out, with a note. In any table, a row that is not finite and positive in the fitted
columns raises a UserError that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.record import Part
from scaling.common.errors import UserError, nearest
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
TIGHT = 1e-9  # two logs closer than this are the same value
NAMED = 5  # rows that an error lists before it counts the rest
ROWS = 200_000  # more are refused: every start of a fit holds several numbers for each row
SPAN = (1e-150, 1e150)  # numbers whose squares are still numbers
NOT_FITTED: Mapping[Part, str] = {
    Part.HELD_OUT: "held out",
    Part.TRUNK: "without a cooldown (trunks)",
}


@dataclass(frozen=True)
class Points:
    """n rows: the variables of the law (K, n), the loss (n,), weights (n,), and row names."""

    variables: dict[str, Array]
    loss: Array
    weights: Array
    labels: tuple[str, ...]
    rows: pd.DataFrame  # the fitted rows, with every column that the table had
    notes: tuple[str, ...] = ()  # rows left out, with reasons

    @property
    def log_x(self) -> Array:
        return np.log(np.stack(list(self.variables.values())))

    def __len__(self) -> int:
        return len(self.loss)


def select(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    loss: str,
    weights: str | Array | None,
    drop_highest: int,
    leave_out: NDArray[np.bool_] | None = None,
) -> Points:
    """Rows to fit. `columns` maps each variable of the law to a column of the table; the mask
    `leave_out` removes rows."""
    if len(table) == 0:
        raise UserError("the table has no rows: nothing to fit")
    if len(table) > ROWS:
        raise UserError(
            f"the table has {len(table):,} rows, and a fit takes {ROWS:,} at most: "
            f"take one row per run, or a sample such as table.sample({ROWS // 2})"
        )
    keep, notes = visible(table)
    if leave_out is not None:
        notes = (*notes, f"{_runs(int((keep & leave_out).sum()))} held out on request: not fitted")
        keep &= ~leave_out
        if not keep.any():
            raise UserError("holdout: no completed row is left to fit")
    chosen = table.loc[keep]
    labels = row_labels(chosen)
    given = np.ones(len(table)) if weights is None else weights
    if isinstance(given, str):
        weighting = numbers(chosen, given, labels)
    else:
        given = np.asarray(given, np.float64)
        if given.shape != (len(table),) or not (np.isfinite(given) & (given > 0)).all():
            raise UserError(
                f"weights: need {len(table)} finite positive numbers, one per row of the table"
            )
        weighting = given[keep]
    variables = {name: numbers(chosen, column, labels) for name, column in columns.items()}
    values = numbers(chosen, loss, labels)
    if not 0 <= drop_highest < max(1, len(values)):
        raise UserError(f"drop_highest={drop_highest}: the table has {len(values)} rows to fit")
    order = np.argsort(-values, kind="stable")[:drop_highest]
    if drop_highest:
        gone = ", ".join(labels[at] for at in order[:NAMED])
        more = "" if drop_highest <= NAMED else f" and {drop_highest - NAMED} more"
        notes = (*notes, f"the {drop_highest} highest losses were dropped on request: {gone}{more}")
    stay = np.ones(len(values), dtype=bool)
    stay[order] = False
    kept = np.stack([*variables.values(), values])[:, stay]
    notes = (
        *notes,
        *_repeated(kept, np.asarray(labels, dtype=object)[stay]),
        *pooled(chosen.loc[stay]),
    )
    return Points(
        variables={name: value[stay] for name, value in variables.items()},
        loss=values[stay],
        weights=weighting[stay],
        labels=tuple(np.asarray(labels, dtype=object)[stay]),
        rows=chosen.loc[stay],
        notes=notes,
    )


def check_compute(rows: pd.DataFrame, params: str) -> None:
    """Refuse C = 6 N D of an N that counts weights which a token does not meet.

    Raises:
        UserError: the column is params_total, and params_active is less.
    """
    both = {"params_total", "params_active"}
    if params != "params_total" or not both <= set(rows.columns):
        return
    if (rows["params_active"] < rows["params_total"]).any():
        raise UserError(
            "params_total counts experts that a token does not meet, so 6 params_total tokens is "
            "not the compute of these runs; take params=params_active"
        )


def select_held_out(table: pd.DataFrame, columns: Mapping[str, str], loss: str) -> Points:
    """The rows of `table` that were measured, to hold a fit to: checked like the fitted ones."""
    done = table
    if "part" in table.columns:
        done = done[done["part"] != str(Part.TRUNK)]
    if "status" in table.columns:
        done = done[done["status"].astype(str) == "completed"]
    if done.empty:
        raise UserError("holdout: none of the rows held out has completed")
    labels = row_labels(done)
    return Points(
        variables={name: numbers(done, column, labels) for name, column in columns.items()},
        loss=numbers(done, loss, labels),
        weights=np.ones(len(done)),
        labels=tuple(labels),
        rows=done,
    )


def _repeated(columns: Array, labels: NDArray[np.object_]) -> tuple[str, ...]:
    """A note on rows that repeat an earlier one in every column that the fit reads."""
    first = np.unique(columns, axis=1, return_index=True)[1]
    again = np.setdiff1d(np.arange(columns.shape[1]), first)
    if not again.size:
        return ()
    named = ", ".join(labels[again[:NAMED]])
    more = "" if again.size <= NAMED else f" and {again.size - NAMED} more"
    return (f"{again.size} row(s) repeat earlier ones, each counted as a run: {named}{more}",)


def pooled(rows: pd.DataFrame) -> tuple[str, ...]:
    """A note on rows of this project's records that were trained on different data."""
    known = [name for name in ("data.fingerprint", "data.weights") if name in rows.columns]
    kinds = len(rows[known].astype(str).drop_duplicates()) if known else 1
    if kinds == 1:
        return ()
    return (f"runs on {kinds} kinds of data ({', '.join(known)}) are taken as one",)


def visible(table: pd.DataFrame) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """True for completed runs that are neither held out nor trunks, and a note on each kind of
    the others. A table without `status` and `part` is visible whole."""
    keep = np.ones(len(table), dtype=bool)
    notes: list[str] = []
    if "part" in table.columns:
        for part, said in NOT_FITTED.items():
            out = (table["part"] == str(part)).to_numpy()
            keep &= ~out
            if out.any():
                notes.append(f"{_runs(out.sum())} {said}: not fitted")
    if "planned" in table.columns:
        out = keep & (table["planned"] == False).to_numpy()  # noqa: E712 - a column
        if out.any():
            names = ", ".join(row_labels(table.loc[out])[:NAMED])
            notes.append(f"{_runs(out.sum())} no longer planned ({names}): left out")
            keep &= ~out
    if "status" in table.columns:
        for status in sorted(set(table.loc[keep, "status"].astype(str)) - {"completed"}):
            out = keep & (table["status"].astype(str) == status).to_numpy()
            names = ", ".join(row_labels(table.loc[out])[:NAMED])
            notes.append(f"{_runs(out.sum())} {status} ({names}): left out")
            keep &= ~out
    if not keep.any():
        raise UserError(f"no completed run to fit: {'; '.join(notes)}")
    return keep, tuple(notes)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def row_labels(table: pd.DataFrame) -> list[str]:
    """run_id where there is one, else `row <index>`."""
    if "run_id" in table.columns:
        return [str(name) for name in table["run_id"]]
    return [f"row {name}" for name in table.index]


def numbers(table: pd.DataFrame, column: str, labels: list[str]) -> Array:
    """One column as finite positive float64, or an error that names the rows that are not."""
    import pandas as pd

    if column not in table.columns:
        raise UserError(
            f"the table has no column '{column}': {nearest(column, map(str, table.columns))}"
        )
    if table.columns.duplicated().any() and isinstance(table[column], pd.DataFrame):
        raise UserError(f"the table has more than one column '{column}': rename all but one")
    if table[column].dtype.kind in "mMc":
        raise UserError(f"column '{column}' holds {table[column].dtype}, not real numbers")
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        named = ", ".join(f"{labels[at]}: {table[column].iloc[at]}" for at in bad[:NAMED])
        more = "" if bad.size <= NAMED else f", and {bad.size - NAMED} more"
        raise UserError(
            f"column '{column}' must be finite and positive ({named}{more}); "
            "mend or remove these rows"
        )
    if values.min(initial=1.0) < SPAN[0] or values.max(initial=1.0) > SPAN[1]:
        raise UserError(
            f"column '{column}' runs from {values.min():g} to {values.max():g}: choose a unit that "
            f"keeps it between {SPAN[0]:g} and {SPAN[1]:g}"
        )
    return values


def distinct_values(logs: Array) -> Array:
    ordered = np.sort(logs)
    return ordered[np.concatenate([[True], np.diff(ordered) > TIGHT])]


def values_needed(law: Law) -> int:
    """Different values of a variable that an amplitude, an exponent and an offset take."""
    return 2 if law.constant is None else 3
