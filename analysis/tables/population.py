"""The rows that a fit may see, by one rule for every estimator.

Left out and named: rows without a loss; runs whose status says that they did not end well, in the
words of any tracker; held-out runs and trunks of this project's records. Named: rows that the table
flags, and checkpoints of one run. Refused: rows of several populations, such as architectures,
corpora, labels or units of loss. A condition that names a column decides about it (`query.where`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.tables.columns import (
    NAMED,
    RUNS,
    Array,
    Mask,
    is_truth,
    listed,
    numeric,
    row_labels,
    texts,
    tidy,
)
from analysis.tables.query import chosen
from experiments.record import Status, StudyPart
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NOT_FITTED: Mapping[StudyPart, str] = {
    StudyPart.HELD_OUT: "held out",
    StudyPart.TRUNK: "without a cooldown (trunks)",
}
DONE = ("completed", "complete", "finished", "done", "success", "successful", "succeeded", "ok",
        "passed", "terminated", "true", "published", "closed", "ended")  # fmt: skip
NOT_DONE = (
    "failed", "failure", "fail", "crashed", "crash", "killed", "running", "pending", "queued",
    "waiting", "scheduled", "preempted", "preempting", "aborted", "canceled", "cancelled", "error",
    "diverged", "nan", "timeout", "timed out", "oom", "out_of_memory", "node_fail", "stopped",
    "pruned", "started", "missing", "interrupted", "in_progress", "in progress", "active",
    "incomplete", "unfinished", "false", "paused", "starting", "created", "requeued",
)  # fmt: skip
DIVERGED = ("diverged", "nan")
STATUSES = ("status", "state", "run_status", "run_state")
FLAGS: Mapping[str, bool] = {  # the value that speaks against a row
    **dict.fromkeys(("diverged", "crashed", "failed", "outlier", "is_outlier", "excluded"), True),
    **dict.fromkeys(("exclude", "invalid", "bad", "nan", "preempted", "is_diverged"), True),
    **dict.fromkeys(("is_final", "final", "finished", "completed", "converged", "valid"), False),
}
POPULATIONS = (
    "architecture", "arch", "model_type", "model_family", "family", "experiment", "experiment_id",
    "experiment_name", "project", "label", "arm", "corpus", "dataset", "data", "data_source",
    "train_data", "tokenizer", "optimizer", "loss_kind", "loss_unit", "loss_type", "unit", "units",
    "metric", "metric_name", "tag", "split", "context", "context_length", "seq_len", "objective",
)  # fmt: skip
OURS = ("label", "data.fingerprint", "data.weights")  # of this project's records
FAR = 10.0  # robust standard deviations of an outlier
FLOOR = 1e-4  # of log loss: what lies nearer is neither an outlier nor apart
UNLIKE = 1e-2  # chance that clean rows are told apart by any column of text
LEAST_FREE = 4  # rows beyond the constants, for a scale
ENDS = ("is_final", "final", "finished", "completed")  # flags of the last point of a curve
IDS = ("run_id", "id", "uuid", "trial_id")  # of the columns of runs, those that tell them apart
TIMES = ("tokens", "step", "steps", "_step", "global_step", "iteration", "epoch", "train_tokens")


def is_ours(table: pd.DataFrame) -> bool:
    """True for records of this project, whose columns have one meaning."""
    if not {"run_id", "study", "status", "part"} <= set(table.columns):
        return False
    known = ((table["part"], StudyPart), (table["status"], Status))
    return all(set(texts(column).dropna()) <= set(map(str, words)) for column, words in known)


def visible(
    table: pd.DataFrame,
    loss: str | None = None,
    columns: Collection[str] = (),
    apart: Collection[str] = (),
    held_out: bool = False,
) -> tuple[Mask, tuple[str, ...]]:
    """True for the rows to fit, and a note on each kind of the others.

    Args:
        columns: the variables that are read; one value of each for one label is its name, and no
            population.
        apart: columns by which the caller itself keeps rows apart.
        held_out: True for rows that were kept out on purpose: their part does not matter.

    Raises:
        UserError: no row is left, or the rows are of several populations.
    """
    keep, notes = np.ones(len(table), dtype=bool), []
    for said, out in (
        *_unfit(table, held_out),
        *_unended(table),
        *_without(table, loss),
    ):
        if (gone := keep & out).any():
            names = listed(row_labels(table.loc[gone]))
            notes.append(f"{runs(gone.sum())} {said.format(names)}")
            keep &= ~gone
    if not keep.any():
        raise UserError(
            f"no completed run to fit: {'; '.join(notes)}; a --where that names such a column "
            "decides about it"
        )
    rows = table.loc[keep]
    notes += [*_unknown_words(table), *_flagged(rows, apart), *_pooled(rows, columns, apart)]
    return keep, tuple(notes)


def kept(
    table: pd.DataFrame,
    loss: str | None = None,
    columns: Collection[str] = (),
    apart: Collection[str] = (),
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The `visible` rows, and the notes."""
    if len(table) == 0:
        raise UserError("the table has no rows")
    keep, notes = visible(table, loss, columns, apart)
    return table.loc[keep], notes


def _unfit(table: pd.DataFrame, held_out: bool) -> Iterator[tuple[str, Mask]]:
    """Rows of our records that are no part of a fit."""
    if is_ours(table) and "part" not in chosen(table):
        for part, said in NOT_FITTED.items():
            if not (held_out and part is StudyPart.HELD_OUT):
                yield f"{said}: not fitted", (table["part"] == str(part)).to_numpy()
    if is_ours(table) and "planned" in table.columns:
        yield "no longer planned ({}): left out", (table["planned"] == False).to_numpy()  # noqa: E712


def _unended(table: pd.DataFrame) -> Iterator[tuple[str, Mask]]:
    """Rows whose status is a word for a run that did not end well."""
    for column in _named(table, STATUSES):
        words = texts(table[column]).str.strip().str.lower()
        if _is_status(words):
            for word in sorted(set(words.dropna()) & set(NOT_DONE)):
                met = (words == word).to_numpy(dtype=bool)
                yield f"{texts(table[column])[met].iloc[0]} ({{}}): left out", met


def diverged(table: pd.DataFrame, loss: str) -> Mask:
    """True for the rows that a status word, or an infinite loss, calls diverged."""
    met = np.isinf(numeric(table[loss]))
    for column in _named(table, STATUSES):
        words = texts(table[column]).str.strip().str.lower()
        if _is_status(words):
            met = met | words.isin(DIVERGED).to_numpy(dtype=bool)
    return met


def _is_status(words: pd.Series) -> bool:
    """True where the words are a tracker's: one of them means done, or all are known."""
    found = set(words.dropna())
    return bool(found & set(DONE)) or (bool(found) and found <= set(NOT_DONE))


def _unknown_words(table: pd.DataFrame) -> Iterator[str]:
    for column in _named(table, STATUSES):
        words = texts(table[column]).str.strip().str.lower()
        strange = sorted(set(words.dropna()) - {*DONE, *NOT_DONE})
        if strange and _is_status(words):
            yield f"column '{column}' also says {listed(strange)}: these rows are fitted"
        elif strange and set(words.dropna()) & set(NOT_DONE):
            yield f"column '{column}' ({listed(strange)}) is not read as the status of a run"


def _without(table: pd.DataFrame, loss: str | None) -> Iterator[tuple[str, Mask]]:
    """Rows whose loss is missing, or infinite as of a run that diverged."""
    if loss is not None and loss in table.columns and table.columns.is_unique:
        article = "an" if loss[:1].lower() in "aeiou" else "a"
        yield f"without {article} {loss} ({{}}): left out", tidy(table[loss]).isna().to_numpy()
        if table[loss].dtype.kind not in "mMc":
            yield f"with an infinite {loss} ({{}}): left out", np.isinf(numeric(table[loss]))


def _flagged(rows: pd.DataFrame, apart: Collection[str]) -> Iterator[str]:
    """Rows against which a column of the table speaks."""
    for column in _named(rows, FLAGS):
        if column not in apart and (is_truth(rows[column]) or _is_binary(rows[column])):
            against = FLAGS[_last(column)]
            met = numeric(rows[column].astype(object).map(float, na_action="ignore")) == against
            if met.any() and not met.all():
                few = met.sum() <= NAMED
                names = f" ({listed(row_labels(rows.loc[met]))})" if few else ""
                bad, good = (rows.loc[each, column].iloc[0] for each in (met, ~met))
                yield (
                    f"{runs(met.sum())} of {len(rows)} with {column} {bad}{names} are fitted: "
                    f"choose rows with --where '{column}=={good}'"
                )


def _is_binary(column: pd.Series) -> bool:
    return column.dtype.kind in "iuf" and set(column.dropna().unique()) <= {0, 1}


def _pooled(rows: pd.DataFrame, columns: Collection[str], apart: Collection[str]) -> Iterator[str]:
    """A note on populations that a condition has named; a UserError for others."""
    ours = [name for name in OURS if name in rows.columns and rows.columns.is_unique]
    for column in ours if is_ours(rows) else {*ours, *_columns(rows, POPULATIONS)}:
        if column in apart or column in columns:
            continue
        values = texts(rows[column])
        kinds = sorted(values.dropna().unique())
        if len(kinds) < 2 or len(kinds) > len(rows) / 2 or _names_a_value(rows, values, columns):
            continue
        said = f"the rows hold {len(kinds)} values of '{column}' ({listed(kinds)})"
        if column in chosen(rows):
            yield f"{said}, taken as one on request"
        else:
            raise UserError(
                f"{said}: take one with --where '{column}=={_quoted(kinds[0])}', or all as one "
                f"with --where '{column}==*'"
            )


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _names_a_value(rows: pd.DataFrame, values: pd.Series, columns: Collection[str]) -> bool:
    """True where each value stands for one value of a variable, or of all: `7b`, `short`,
    `7b-short`."""
    import pandas as pd

    def placed(cells: Array | NDArray[np.intp] | pd.Series) -> tuple[NDArray[np.intp], int]:
        places, kinds = pd.factorize(cells, use_na_sentinel=False)
        return places, len(kinds)

    codes, kinds = placed(values)
    point = np.zeros(len(rows), np.intp)
    for column in (each for each in columns if each in rows.columns):
        places, count = placed(numeric(rows[column]))
        point = placed(point * count + places)[0]
        for at in (places, point):
            count = len(np.unique(at))
            if count == kinds == len(np.unique(codes * count + at)):
                return True
    return False


def run_column(rows: pd.DataFrame, columns: Collection[str]) -> str | None:
    """The column that says which rows are of one run: names that repeat while one of `columns`, or
    a time, moves on within a name. Where an id tells all rows apart, equal names say nothing. A row
    without a name is a run of its own."""
    for column in sorted(_named(rows, RUNS), key=lambda each: _last(each) not in IDS):
        names = texts(rows[column])
        if _last(column) in IDS and names.is_unique and names.notna().all():
            return None
        if not 1 < names.nunique() + names.isna().sum() < len(rows):
            continue
        if _moving(rows, column, (*_named(rows, TIMES), *columns)):
            return str(column)
    return None


def last_rows(rows: pd.DataFrame, run: str, tokens: str | None) -> str | None:
    """The condition that takes the last row of each run, by a time or by its tokens."""
    times = (*_columns(rows, TIMES), *([tokens] if tokens else ()))
    moving = _moving(rows, run, times)
    return f"{_quoted(moving[0])}==last of {_quoted(run)}" if moving else None


def _moving(rows: pd.DataFrame, run: str, columns: Collection[str]) -> list[str]:
    """The columns that take several values in one run."""
    by_run = rows.groupby(texts(rows[run]).to_numpy())
    return [each for each in dict.fromkeys(columns) if by_run[each].nunique().max() > 1]


def outliers(labels: tuple[str, ...], residuals: Array, constants: int) -> tuple[str, ...]:
    """A note on rows more than 10 robust standard deviations off the law.

    The scale is 1.4826 x the median of the n - P largest |residuals|, for a fit of P constants may
    pass through P rows.
    """
    size = np.abs(residuals)
    if len(size) - constants < LEAST_FREE:
        return ()
    scale = max(1.4826 * float(np.median(np.sort(size)[constants:])), FLOOR)
    far = np.flatnonzero(size > FAR * scale)
    if not far.size:
        return ()
    order = far[np.argsort(-size[far], kind="stable")]
    named = listed([f"{labels[at]}: {100 * np.expm1(residuals[at]):+.3g} %" for at in order])
    return (f"{runs(far.size)} more than {FAR:g} robust standard deviations off the law ({named})",)


def unlike(
    rows: pd.DataFrame, residuals: Array, together: NDArray[np.intp], columns: Collection[str]
) -> tuple[str, ...]:
    """A note on each column of text whose values tell residuals apart, whatever its name.

    Kruskal and Wallis's test of the ranks of the mean residuals of runs; its chance on clean rows
    is `UNLIKE`, shared out among the columns that are tested: those with two values or more, three
    runs of each in the mean, whose values are no names of sizes or points. Small groups make it
    rarer. `together` is the run of each row.
    """
    clusters, first = np.unique(together, return_index=True)
    means = np.bincount(together, residuals) / np.bincount(together)
    found = {}
    for column in rows.columns if rows.columns.is_unique else ():
        decided = column in (*columns, *chosen(rows)) or _last(column) in FLAGS
        if decided or rows[column].dtype.kind in "iufcmM":
            continue
        values = texts(rows[column])
        words = values.iloc[first].astype(object).fillna("")
        if 2 <= words.nunique() <= len(clusters) / 3 and not _names_a_value(rows, values, columns):
            found[column] = words.to_numpy(object)
    notes = []
    for column, kinds in found.items():
        if _chance(means, kinds) >= UNLIKE / len(found):
            continue
        off = {kind: float(means[kinds == kind].mean()) for kind in np.unique(kinds)}
        if max(off.values()) - min(off.values()) < FLOOR:
            continue
        far = sorted(off, key=lambda kind: -abs(off[kind]))
        said = listed([f"{kind or 'empty'} {100 * np.expm1(off[kind]):+.2g} %" for kind in far])
        notes.append(
            f"lack of fit: values of '{column}' lie apart from the law ({said}): take one with "
            f"--where '{column}=={_quoted(next(filter(None, reversed(far))))}', or all as one with "
            f"--where '{column}==*'"
        )
    return tuple(notes)


def _chance(values: Array, kinds: NDArray[np.object_]) -> float:
    """The chance of so unlike ranks in groups of like values."""
    from scipy.special import chdtrc

    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    size = len(values)
    spread = float(np.sum((rank - rank.mean()) ** 2)) / (size - 1)
    if spread <= 0:
        return 1.0
    groups = [rank[kinds == kind] for kind in np.unique(kinds)]
    between = sum(len(each) * (each.mean() - rank.mean()) ** 2 for each in groups)
    return float(chdtrc(len(groups) - 1, between / spread))


def _last(column: object) -> str:
    """The last part of a column's name, in small letters: `params.Arch` is arch."""
    return str(column).lower().replace("/", ".").rsplit(".", 1)[-1].strip().replace(" ", "_")


def _columns(table: pd.DataFrame, names: Collection[str]) -> list[str]:
    """The columns of these names; none in a table whose names repeat."""
    known = {name.replace(" ", "_") for name in names}
    return [c for c in table.columns if _last(c) in known] if table.columns.is_unique else []


def _named(table: pd.DataFrame, names: Collection[str]) -> list[str]:
    """The columns of these names that no condition has decided about."""
    return [column for column in _columns(table, names) if column not in chosen(table)]


def runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
