"""The rows of a table that a fit may see (`population.visible`), as checked float64 arrays.

A row that is not finite and positive in the fitted columns raises a UserError that names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.tables.columns import (
    SPAN,
    Array,
    aligned,
    column_of,
    listed,
    numbers,
    numeric,
    row_labels,
)
from analysis.tables.population import runs, visible
from scaling.common.errors import UserError
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

LEAST_FACTOR, SMALL_FACTOR = 1.1, 2.0  # of a variable, for an exponent, and for one without a note
TIGHT = 1e-9  # two logs closer than this are the same value
ROWS = 200_000  # more are refused: every start of a fit holds several numbers for each row


@dataclass(frozen=True)
class Points:
    """n rows: the variables of the law (K, n), the loss (n,), weights (n,), and row names."""

    variables: dict[str, Array]
    loss: Array
    weights: Array
    labels: tuple[str, ...]
    rows: pd.DataFrame  # the fitted rows, with every column that the table had
    notes: tuple[str, ...] = ()  # rows left out and columns taken, with reasons

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
    apart: Collection[str] = (),
) -> Points:
    """Rows to fit. `columns` maps each variable of the law to a column of the table; the mask
    `leave_out` removes rows; `apart` is for `visible`."""
    if len(table) == 0:
        raise UserError("the table has no rows: nothing to fit")
    if len(table) > ROWS:
        raise UserError(
            f"the table has {len(table):,} rows, and a fit takes {ROWS:,} at most: "
            f"take one row per run, or a sample such as table.sample({ROWS // 2})"
        )
    keep = np.ones(len(table), dtype=bool) if leave_out is None else ~leave_out
    given = row_weights(table, weights)
    idle = keep & (given == 0)
    keep &= given != 0
    if not keep.any():
        raise UserError("weights: every row that could be fitted has a weight of 0")
    seen, notes = visible(table.loc[keep], loss, columns.values(), apart)
    if leave_out is not None:
        notes = (*notes, f"{runs(int(leave_out.sum()))} held out on request: not fitted")
    keep[keep] = seen
    if idle.any():
        notes = (*notes, f"{runs(int(idle.sum()))} of weight 0: left out")
    chosen, weighting = table.loc[keep], given[keep]
    labels = row_labels(chosen)
    check_weights(weighting, labels)
    variables = {name: numbers(chosen, column, labels) for name, column in columns.items()}
    values = numbers(chosen, loss, labels)
    if not 0 <= drop_highest < max(1, len(values)):
        raise UserError(f"drop_highest={drop_highest}: the table has {len(values)} rows to fit")
    order = np.argsort(-values, kind="stable")[:drop_highest]
    if drop_highest:
        gone = listed([labels[at] for at in order])
        notes = (*notes, f"the {drop_highest} highest losses were dropped on request: {gone}")
    stay = np.ones(len(values), dtype=bool)
    stay[order] = False
    kept = np.stack([*variables.values(), values])[:, stay]
    notes = (*notes, *_repeated(kept, np.asarray(labels, dtype=object)[stay]))
    return Points(
        variables={name: value[stay] for name, value in variables.items()},
        loss=values[stay],
        weights=weighting[stay],
        labels=tuple(np.asarray(labels, dtype=object)[stay]),
        rows=chosen.loc[stay],
        notes=notes,
    )


def row_weights(table: pd.DataFrame, weights: str | Array | None) -> Array:
    """A number for each row of the table; 0 leaves it out."""
    if weights is None:
        return np.ones(len(table))
    if isinstance(weights, str):
        return numeric(column_of(table, weights))
    try:
        given = np.asarray(aligned(weights, table, "weights"), np.float64)
    except (TypeError, ValueError) as error:
        raise UserError("weights: need numbers, or the name of a column") from error
    if given.shape != (len(table),):
        raise UserError(f"weights: need {len(table)} numbers, one per row of the table")
    return given


def check_weights(weights: Array, labels: Sequence[str]) -> None:
    """Refuse weights that are not finite and positive, and name their rows."""
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0))).tolist()
    if wrong:
        named = listed([f"{labels[at]}: {weights[at]:g}" for at in wrong])
        raise UserError(f"weights must be finite and not negative ({named})")
    if weights.min(initial=1.0) < SPAN[0] or weights.max(initial=1.0) > SPAN[1]:
        raise UserError(f"weights must lie between {SPAN[0]:g} and {SPAN[1]:g}: scale them")


def check_compute(rows: pd.DataFrame, params: str) -> None:
    """Refuse C = 6 N D of an N that does not count each weight as often as a token meets it.

    Raises:
        UserError: the column is params_total or params_unique, and params_active differs.
    """
    both = {params, "params_active"}
    if params not in ("params_total", "params_unique") or not both <= set(rows.columns):
        return
    if (rows["params_active"] != rows[params]).any():
        raise UserError(
            f"{params} counts experts that a token does not meet, or shared layers once, so "
            f"6 {params} tokens is not the compute of these runs; take params=params_active"
        )


def select_held_out(table: pd.DataFrame, columns: Mapping[str, str], loss: str) -> Points:
    """The rows of `table` that were measured, to hold a fit to: checked like the fitted ones."""
    done = table.loc[visible(table, loss, columns.values(), table.columns, held_out=True)[0]]
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
    named = listed(labels[again].tolist())
    return (f"{again.size} row(s) repeat earlier ones, each counted as a run: {named}",)


def distinct_values(logs: Array) -> Array:
    ordered = np.sort(logs)
    return ordered[np.concatenate([[True], np.diff(ordered) > TIGHT])]


def factors_apart(log_x: Array) -> Array:
    """The factors (K,) over which variables (K, n) vary apart from each other: exp of the range of
    each ln x less its least squares on the others."""
    centred = log_x - log_x.mean(axis=1, keepdims=True)
    factors = []
    for at, mine in enumerate(centred):
        others = np.delete(centred, at, axis=0)
        left = mine - np.linalg.pinv(others.T, rcond=TIGHT) @ mine @ others
        factors.append(float(np.exp(np.ptp(left))))
    return np.array(factors)


def check_spans(what: str, names: Sequence[str], log_x: Array) -> tuple[str, ...]:
    """A note on each variable (K, n) that varies little apart from the others.

    Raises:
        UserError: one varies by less than `LEAST_FACTOR`, so that its exponent is noise.
    """
    notes = []
    for name, factor in zip(names, factors_apart(log_x), strict=True):
        others = " and ".join(each for each in names if each != name)
        apart = f" apart from {others}" if others else ""
        said = f"{what}: {name} spans a factor of {factor:.3g} only{apart}"
        if factor < LEAST_FACTOR:
            raise UserError(
                f"{said}, which gives no exponent; add rows that vary it{' alone' * bool(others)}, "
                "or use fewer variables"
            )
        if factor < SMALL_FACTOR:
            notes.append(f"{said}: its exponent is weakly known")
    return tuple(notes)


def values_needed(law: Law) -> int:
    """Different values of a variable that an amplitude, an exponent and an offset take; relations
    of parameters leave one of them to the others."""
    return 3 if law.terms and law.constant and not law.relations else 2
