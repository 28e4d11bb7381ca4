"""The common form of imported runs: a table with a row for each run, and all histories in another.

Columns whose names say a quantity take our name for it. The others keep the tracker's.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.columns import numeric
from analysis.tables.words import WORDS, columns_saying
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
OTHER_FORM = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # of a parser
STEPS = ("step", "_step", "Step", "trainer/global_step", "global_step")


@dataclass(frozen=True)
class TrackedRun:
    """One run as its tracker holds it, under the tracker's names.

    `facts` are its settings and last values, by dotted names. A row of the history holds `step` and
    the values logged at it. Where the facts lack a value of the history, its last one counts.
    """

    run_id: str
    name: str
    status: str  # the tracker's own word
    facts: Row
    history: Sequence[Row] = ()


@dataclass(frozen=True)
class Imported:
    """Runs (n rows), their histories (a row for each step), and an account of the columns."""

    runs: pd.DataFrame
    histories: pd.DataFrame
    taken: Mapping[str, str]  # our name: the tracker's
    others: tuple[str, ...]  # columns that kept the tracker's name
    provenance: Mapping[str, str]


def gathered(importer: str, path: Path, runs: Sequence[TrackedRun]) -> Imported:
    """All runs in the common form. Rows of an export may share an id: checkpoints of one run."""
    import pandas as pd

    table = pd.DataFrame([_row(run) for run in runs])
    heads = ("run_id", "name", "status")
    taken = _understood([c for c in table.columns if c not in heads])
    table = table.rename(columns={theirs: ours for ours, theirs in taken.items()})
    first = [*heads, *(ours for ours in WORDS if ours in taken)]
    others = tuple(str(column) for column in table.columns if column not in first)
    sizes = [name for name in WORDS if name.startswith("params") and name in taken]
    return Imported(
        runs=table[[*first, *others]],
        histories=_histories(runs, table.drop_duplicates("run_id").set_index("run_id")[sizes]),
        taken=taken,
        others=others,
        provenance=_provenance(importer, path, len(runs)),
    )


@contextmanager
def reading(place: object, *kinds: type[Exception]) -> Iterator[None]:
    """Refuse a file that is damaged or of another form in one line with its name.

    `kinds` are errors of its parser beside Python's own.
    """
    refused: tuple[type[Exception], ...] = (*OTHER_FORM, *kinds)
    try:
        yield
    except refused as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise UserError(
            f"{place}: damaged, or not as its tracker writes it ({said}); export it again, or move "
            "it away"
        ) from error


def json_of(file: Path) -> Any:
    """The JSON in a file, in any encoding of Unicode; its numbers may be NaN."""
    return json.loads(file.read_bytes())


def flat(held: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings under dotted names; a list is one cell of JSON."""
    for key, value in held.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def _row(run: TrackedRun) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for row in run.history:
        last |= {name: value for name, value in row.items() if name != "step" and _is_there(value)}
    head = {"run_id": run.run_id, "name": run.name, "status": run.status}
    return {**last, **run.facts, **head}


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _understood(columns: Sequence[str]) -> dict[str, str]:
    """The clearest column of each quantity, by our name."""
    found: dict[str, str] = {}
    for ours in WORDS:
        said = [each for each in columns_saying(ours, columns) if each not in found.values()]
        if ours in columns:
            found[ours] = ours
        elif said:
            found[ours] = said[0]
    return found


def _histories(runs: Sequence[TrackedRun], sizes: pd.DataFrame) -> pd.DataFrame:
    """A row for each step of each run, with the sizes of its run."""
    import pandas as pd

    table = pd.DataFrame([{"run_id": run.run_id, **row} for run in runs for row in run.history])
    if table.empty:
        return table
    columns = [c for c in table.columns if c not in ("run_id", "step")]
    renamed = {theirs: ours for ours, theirs in _understood(columns).items() if ours != "steps"}
    table = table.rename(columns=renamed)
    known = sizes[[name for name in sizes if name not in table.columns]]
    return table.merge(known, left_on="run_id", right_index=True, how="left")


def _provenance(importer: str, path: Path, count: int) -> dict[str, str]:
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for each in files:
        digest.update(hashlib.sha256(each.read_bytes()).digest())
    return {
        "imported_from": importer,
        "path": str(path.resolve()),
        "files": str(len(files)),
        "sha256": digest.hexdigest(),
        "runs": str(count),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def from_table(
    table: pd.DataFrame,
    ids: Sequence[str],
    names: Sequence[str],
    status: Sequence[str],
    word: Callable[[Any], str] = str,
) -> Iterator[TrackedRun]:
    """A run of each row of an export, whose id, name and status are in the first columns known."""
    by_name = {str(column).lower(): str(column) for column in table.columns}
    found = {
        kind: next((by_name[name] for name in known if name in by_name), None)
        for kind, known in (("id", ids), ("name", names), ("status", status))
    }
    records = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    seen: Counter[str] = Counter()
    for at, row in enumerate(records):
        cells = {kind: row.get(column) if column else None for kind, column in found.items()}
        name = str(cells["name"]) if _is_there(cells["name"]) else f"row {at + 1}"
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        yield TrackedRun(
            run_id=str(cells["id"]) if _is_there(cells["id"]) else unique,
            name=name,
            status=word(cells["status"]) if _is_there(cells["status"]) else "",
            facts={key: value for key, value in row.items() if key not in found.values()},
        )


def by_column(table: pd.DataFrame, between: str = " - ") -> Iterator[TrackedRun]:
    """Runs of a chart's export: a column `RUN - METRIC` for each curve, a row for each step."""
    step = next((name for name in (*STEPS, *map(str, table.columns)) if name in table.columns), "")
    curves: dict[str, dict[str, str]] = {}
    for column in map(str, table.columns):
        run, found, metric = column.rpartition(between)
        if found and not metric.endswith(("__MIN", "__MAX")):
            curves.setdefault(run, {})[metric] = column
    steps = numeric(table[step])
    for run, columns in curves.items():
        values = {metric: numeric(table[column]) for metric, column in columns.items()}
        rows = [
            {"step": steps[at], **{name: value[at] for name, value in values.items()}}
            for at in range(len(table))
            if any(not math.isnan(value[at]) for value in values.values())
        ]
        yield TrackedRun(run, run, "", {}, rows)
