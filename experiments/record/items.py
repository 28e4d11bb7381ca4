"""Answers of a run to the items of a task at one step: evaluations/<task>/<step>.parquet.

A row is one choice of an item, one sample of it, or one number of a task without items. Columns:

    run_id, step, task, item
    kind                choice, sample or number
    choice              its place: of the choices, of the samples in the order drawn, or 0
    is_answer           of a choice: it is the right one
    log_probability     of a choice: ln p(choice | prompt), in nats
    unconditional       likewise without the prompt
    tokens, bytes       of a choice
    text, passed        of a sample, and the verdict of its verifier
    number              of a task without items

The file's metadata hold a `TaskHeader`. Rows that a run wrote while it trained, the lines of
evaluations/<task>.jsonl, are loaded with them, where no such file has their step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from experiments.record.run import ItemResult, ItemRow
from experiments.record.schema import CONFIG, ELSEWHERE, EVALUATIONS, Entry
from experiments.record.store import read_items
from scaling.common import files
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

if TYPE_CHECKING:
    import pandas as pd

HEADER = b"windtunnel"
CHOICE, SAMPLE, NUMBER = "choice", "sample", "number"
NAMED = ("run_id", "task", "item", "kind")  # columns of few different texts


class TaskHeader(Entry, frozen=True, kw_only=True):
    """Facts of one evaluation of a task.

    `prediction_sha256` is of the prediction that stood beside the run when it was evaluated, and
    `overlap` counts the items of which the training data hold a long part; null: not looked for.
    """

    run_id: str
    task: str
    step: int
    version: str  # of the task's items
    drawn: str = ""  # settings of the samples
    items: int
    cut: int = 0  # items whose prompt lost its beginning
    faults: tuple[str, ...] = ()  # one line for each item left out
    overlap: int | None = None
    prediction_sha256: str | None = None


def item_file(run: Path, task: str, step: int) -> Path:
    """The file of a task at a step of a run."""
    return run / EVALUATIONS / task / f"{step}.parquet"


def write_items(run: Path, header: TaskHeader, results: Iterable[ItemResult],
                numbers: Mapping[str, float]) -> Path:  # fmt: skip
    """Write the rows of one evaluation, whole or not at all."""
    arrow, parquet = _arrow()
    columns = _columns(header, results, numbers)
    schema = _schema(arrow).with_metadata({HEADER: msgspec.json.encode(header)})
    table = arrow.table({name: columns[name] for name in schema.names}, schema=schema)
    sink = arrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    path = item_file(run, header.task, header.step)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, sink.getvalue().to_pybytes(), ELSEWHERE)
    return path


def read_header(path: Path) -> TaskHeader | None:
    """The header of a file; None where there is no whole one of this version."""
    if not path.is_file():
        return None
    arrow, parquet = _arrow()
    try:
        found = parquet.read_schema(path).metadata[HEADER]
        return msgspec.json.decode(found, type=TaskHeader)
    except (arrow.ArrowInvalid, KeyError, TypeError, msgspec.DecodeError):
        return None


def load_items(folder: str | Path, tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Load the rows of every run below a folder, or of one run; those of some tasks alone.

    Raises:
        UserError: nothing has been evaluated, or a file is damaged.
    """
    arrow, _ = _arrow()
    root = Path(folder)
    runs = (
        [root] if (root / CONFIG).is_file() else sorted(p.parent for p in root.glob(f"*/{CONFIG}"))
    )
    found = list(_tables(runs, lambda task: not tasks or task in tasks))
    if not found:
        raise UserError(
            f"{root}: no items; windtunnel evaluate {root} --tasks addition, or train with "
            "evaluation.tasks"
        )
    table = arrow.concat_tables(found).unify_dictionaries()
    import pandas as pd

    whole = {arrow.bool_(): pd.BooleanDtype(), arrow.int32(): pd.Int32Dtype()}
    return table.to_pandas(split_blocks=True, self_destruct=True, types_mapper=whole.get)


def headers(folder: str | Path) -> list[TaskHeader]:
    """The headers below a folder of runs, in order."""
    paths = sorted(Path(folder).glob(f"*/{EVALUATIONS}/*/*.parquet"))
    return [header for header in map(read_header, paths) if header is not None]


def _tables(runs: Iterable[Path], wanted: Callable[[str], bool]) -> Iterator[Any]:
    arrow, parquet = _arrow()
    for run in runs:
        seen = set()
        for path in sorted((run / EVALUATIONS).glob("*/*.parquet")):
            if wanted(path.parent.name):
                seen.add((path.parent.name, int(path.stem)))
                try:
                    yield parquet.read_table(path, schema=_schema(arrow)).replace_schema_metadata()
                except arrow.ArrowInvalid as error:
                    raise UserError(f"{path}: damaged; remove it and evaluate again") from error
        for path in sorted((run / EVALUATIONS).glob("*.jsonl")):
            if wanted(path.stem):
                rows = [row for row in read_items(path) if (path.stem, row.step) not in seen]
                yield from _of_rows(run.name, path.stem, rows)


def _of_rows(run_id: str, task: str, rows: Sequence[ItemRow]) -> Iterator[Any]:
    arrow, _ = _arrow()
    for step in sorted({row.step for row in rows}):
        own = [row for row in rows if row.step == step]
        header = TaskHeader(run_id=run_id, task=task, step=step, version="", items=len(own))
        schema, columns = _schema(arrow), _columns(header, own, {})
        yield arrow.table({name: columns[name] for name in schema.names}, schema=schema)


def _columns(
    header: TaskHeader, results: Iterable[ItemResult], numbers: Mapping[str, float]
) -> dict[str, list[Any]]:
    """The columns as lists; every row has the header's run, task and step."""
    names = _schema(_arrow()[0]).names
    blank = dict.fromkeys(names)
    shared = {"run_id": header.run_id, "task": header.task, "step": header.step}
    rows: list[dict[str, Any]] = []
    for result in results:
        for k, log in enumerate(result.log_probabilities):
            bare, sizes = result.unconditional, result.tokens
            rows.append(
                {
                    "item": result.item, "kind": CHOICE, "choice": k,
                    "is_answer": k == result.answer,
                    "log_probability": log, "bytes": result.bytes[k],
                    "unconditional": bare[k] if bare else None,
                    "tokens": sizes[k] if sizes else None,
                }
            )  # fmt: skip
        verdicts = result.passed or (None,) * len(result.samples)
        rows += [
            {"item": result.item, "kind": SAMPLE, "choice": k, "text": text, "passed": passed}
            for k, (text, passed) in enumerate(zip(result.samples, verdicts, strict=True))
        ]
    rows += [
        {"item": name, "kind": NUMBER, "choice": 0, "number": value}
        for name, value in numbers.items()
    ]
    whole = [{**blank, **row, **shared} for row in rows]
    return {name: [row[name] for row in whole] for name in names}


def _schema(arrow: Any) -> Any:
    text = arrow.dictionary(arrow.int32(), arrow.string())
    return arrow.schema(
        {
            "run_id": text,
            "step": arrow.int64(),
            "task": text,
            "item": text,
            "kind": text,
            "choice": arrow.int32(),
            "is_answer": arrow.bool_(),
            "log_probability": arrow.float64(),
            "unconditional": arrow.float64(),
            "tokens": arrow.int32(),
            "bytes": arrow.int32(),
            "text": arrow.string(),
            "passed": arrow.bool_(),
            "number": arrow.float64(),
        }
    )


def _arrow() -> tuple[Any, Any]:
    """The packages pyarrow and pyarrow.parquet."""
    arrow = import_extra("pyarrow", "text", "a table of items")
    return arrow, import_extra("pyarrow.parquet", "text", "a table of items")
