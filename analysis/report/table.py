"""A table of runs as the records of a study, so that one page shows both.

The rows that a fit may see are its completed runs; a condition holds some out. Rungs are the sizes,
or the budgets where several sizes share each; many different sizes fall into bands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.arguments import columns_of, loss_of
from analysis.tables.columns import Array, Mask, column_of, numeric, row_labels, texts
from analysis.tables.derived import completed, formulas
from analysis.tables.population import NOT_DONE, STATUSES, visible
from analysis.tables.query import rows as met
from analysis.tables.study import StudyRecords
from analysis.tables.words import columns_saying
from experiments.record import Status, StudyPart
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

BANDS = 6  # rungs of a table with more sizes
SAME = 0.05  # of ln compute: runs of one budget
SIZES = 3  # that a budget holds
SETTINGS = ("learning_rate", "batch_tokens", "seed")  # shown where they vary
TWO = ("params", "tokens")


def as_study(
    table: pd.DataFrame,
    law: Law,
    folder: Path,
    origin: str,
    columns: Mapping[str, str | None],
    loss: str = "loss",
    holdout: str | None = None,
    label: str | None = None,
    command: str = "",
) -> StudyRecords:
    """The rows as records.

    Args:
        folder: the folder of its report.
        origin: the file that holds the rows.
        columns: the columns of params and tokens, None where their names tell.
        holdout: a condition on the rows to predict, which the fit does not see.
        label: a column whose values have a fit each, and are compared.
        command: the command that reports it, for the page.
    """
    counts = law if set(TWO) <= set(law.variables) else laws.chinchilla
    table, named, notes = columns_of(counts, table, columns, None)
    table = completed(table, *(named[name] for name in TWO))
    loss, told = loss_of(table, loss)
    for name in (loss, *((label,) if label else ())):
        column_of(table, name)
    held = np.zeros(len(table), bool) if holdout is None else met(table, holdout)
    if holdout is not None and (held.all() or not held.any()):
        raise UserError(f"--holdout '{holdout}': takes {held.sum()} of {len(table)} rows")
    read = (loss, *named.values(), *((label,) if label else ()))
    fitted = visible(table.loc[~held], loss, read, read)[0]
    numbers = {name: numeric(column_of(table, name)) for name in (loss, *named.values())}
    done = held & np.isfinite(numbers[loss])
    done[~held] = fitted
    runs = table.assign(
        **numbers,
        run_id=_unique(row_labels(table)),
        part=np.where(held, str(StudyPart.HELD_OUT), str(StudyPart.FIT)),
        label=texts(column_of(table, label)) if label else "",
        status=np.where(done, str(Status.COMPLETED), _words(table)),
        rung=_rungs(numbers[named["params"]], numeric(table["flops_6nd"]), done),
        prediction_sha256=np.nan,
    )
    return StudyRecords(
        folder=folder,
        name=Path(origin).name,
        question=f"What do the runs of {Path(origin).name} say?",
        law=law,
        reading="isoflop" if _has_budgets(numeric(table["flops_6nd"])[done]) else "",
        loss=loss,
        params=named["params"],
        tokens=named["tokens"],
        published={},
        corpora={},
        settings={},
        runs=runs,
        fields=tuple(c for each in SETTINGS for c in columns_saying(each, table.columns)[:1]),
        command=command,
        origin="; ".join((origin, *told, *notes, *formulas(table, named.values()))),
    )


def _words(table: pd.DataFrame) -> pd.Series:
    """The word of each row for a run that did not end well; `incomplete` where it has none."""
    words = texts(table.iloc[:, 0]).map(lambda _: None)
    for column in table.columns:
        if str(column).lower().replace("/", ".").rsplit(".", 1)[-1] in STATUSES:
            words = words.fillna(texts(table[column]).str.strip().str.lower())
    return words.where(words.isin(NOT_DONE), "incomplete")


def _unique(names: list[str]) -> list[str]:
    """The names, with their place where one is there twice."""
    return [
        name if names.count(name) == 1 else f"{name}, row {at}" for at, name in enumerate(names)
    ]


def _rungs(sizes: Array, flops: Array, done: Mask) -> NDArray[np.intp]:
    """The rung of each row: its budget, its size, or the band of its size; 0 without a size."""
    known = np.isfinite(sizes) & np.isfinite(flops)
    rungs = np.zeros(len(sizes), int)
    if _has_budgets(flops[done]):
        values, edges = np.log(flops), _budgets(flops[done])
    else:
        values, edges = np.log(sizes), np.unique(np.log(sizes[known]))
        if len(edges) > BANDS:
            edges = np.linspace(edges[0], edges[-1], BANDS + 1)[:-1]
    rungs[known] = np.maximum(0, np.searchsorted(edges, values[known] + 1e-9, side="right") - 1)
    return np.unique(rungs, return_inverse=True)[1]


def _budgets(flops: Array) -> Array:
    """The least ln compute of each group of rows that follow each other closely."""
    ordered = np.sort(np.log(flops))
    return ordered[np.concatenate([[True], np.diff(ordered) > SAME])]


def _has_budgets(flops: Array) -> bool:
    """True where the rows fall into two budgets or more, each of several sizes."""
    edges = _budgets(flops)
    held = np.bincount(np.searchsorted(edges, np.log(flops) + 1e-9, side="right") - 1)
    return 1 < len(edges) < len(flops) and bool((held >= SIZES).all())
