"""Weights & Biases: run folders as the client leaves them, online or offline, and exports.

Exports are the table of runs of a project (CSV), one chart (CSV with a column for each run), and
what its public API gives: a list of runs with name, config and summary, as JSON, or as CSV whose
cells are dictionaries. A folder's `.wandb` file holds all of a run; without it, `config.yaml` and
`wandb-summary.json` do, and there is no history.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.files import load_table
from analysis.tables.importers._form import (
    TrackedRun,
    by_column,
    flat,
    from_table,
    json_of,
    reading,
)
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

if TYPE_CHECKING:
    import pandas as pd

LOG, CONFIG, SUMMARY = ".wandb", "config.yaml", "wandb-summary.json"
BLOCK, HEAD = 32768, 7  # of a log: bytes in a block, in the head of a file and of a record
WHOLE, LAST = 1, 4  # kinds of a part of a record
DICTIONARIES = ("summary", "config")


def runs(path: Path) -> Iterator[TrackedRun]:
    """Every run below a folder, or in one file."""
    if path.is_dir():
        yield from _folders(path)
    elif path.suffix == LOG:
        yield _merged([_logged(path)])
    else:
        yield from _export(load_table(path, DICTIONARIES))


def _folders(root: Path) -> Iterator[TrackedRun]:
    """A run continued offline has several folders, whose names begin with their time."""
    parts: dict[str, list[TrackedRun]] = {}
    for folder in sorted({each.parent for each in root.rglob("run-*.wandb")}):
        for log in sorted(folder.glob("run-*.wandb")):
            run = _logged(log)
            parts.setdefault(run.run_id, []).append(run)
    for summary in sorted(root.rglob(SUMMARY)):
        folder = summary.parents[1]
        run_id = folder.name.rpartition("-")[2]
        if run_id not in parts:
            parts[run_id] = [_summarised(run_id, summary.parent)]
    yield from (_merged(each) for each in parts.values())


def _merged(parts: list[TrackedRun]) -> TrackedRun:
    """One run of its parts: later values count."""
    rows: dict[Any, dict[str, Any]] = {}
    for part in parts:
        for row in part.history:
            rows[row["step"]] = {**rows.get(row["step"], {}), **row}
    facts = {name: value for part in parts for name, value in part.facts.items()}
    last = parts[-1]
    return TrackedRun(last.run_id, last.name, last.status, facts, [rows[at] for at in sorted(rows)])


def _logged(log: Path) -> TrackedRun:
    """A `.wandb` file: records of protobuf in a log of LevelDB's form."""
    proto = import_extra("wandb.proto.wandb_internal_pb2", "wandb", f"{log}: a log of wandb")
    run_id = name = log.stem.removeprefix("run-")
    status = "running"  # until the log says how it ended
    facts: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    damaged = import_extra("google.protobuf.message", "wandb", f"{log}: a log of wandb").DecodeError
    with reading(log, damaged):
        for content in _records(log.read_bytes()):
            record = proto.Record.FromString(content)
            if record.HasField("run"):
                run_id, name = record.run.run_id or run_id, record.run.display_name or name
                facts |= _items(record.run.config.update)
                facts |= {} if not record.run.run_group else {"group": record.run.run_group}
            elif record.HasField("config"):
                facts |= _items(record.config.update)
            elif record.HasField("summary"):
                facts |= _items(record.summary.update)
            elif record.HasField("history"):
                row = _items(record.history.item)
                step = row.get("_step", record.history.step.num)
                history.append({"step": step, **_public(row)})
            elif record.HasField("exit"):
                status = "crashed" if record.exit.exit_code else "finished"
    return TrackedRun(run_id, name, status, _public(facts), history)


def _items(items: Any) -> dict[str, Any]:
    """Values of a record, each JSON, under dotted names."""
    held = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
    return dict(flat(held))


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a user logged; numbers that wandb writes as text are numbers."""
    numbers = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    return {
        name: numbers.get(value, value) if isinstance(value, str) else value
        for name, value in values.items()
        if not any(part.startswith("_") for part in name.split("."))
    }


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log: blocks of parts, each with checksum, length and kind before it."""
    part, at = b"", HEAD
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0 or at + HEAD + length > len(data):  # the end, or a record cut short
            return
        part += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (WHOLE, LAST):
            yield part
            part = b""


def _summarised(run_id: str, files: Path) -> TrackedRun:
    """The files of a run whose log is gone."""
    facts: dict[str, Any] = {}
    if (files / CONFIG).exists():
        yaml = import_extra("yaml", "wandb", f"{files / CONFIG}: YAML")
        with reading(files / CONFIG, yaml.YAMLError):
            held = yaml.safe_load((files / CONFIG).read_text(encoding="utf-8")) or {}
            values = {key: each["value"] for key, each in held.items()
                      if isinstance(each, Mapping) and "value" in each}  # fmt: skip
            facts |= dict(flat(values))
    with reading(files / SUMMARY):
        facts |= dict(flat(json_of(files / SUMMARY)))
    return TrackedRun(run_id, run_id, "", _public(facts))


def _export(table: pd.DataFrame) -> Iterator[TrackedRun]:
    columns = [str(column) for column in table.columns]
    if any(" - " in column for column in columns) and "State" not in columns:
        yield from by_column(table)
        return
    if set(DICTIONARIES) <= set(columns):
        table = _opened(table)
    found = from_table(table, ("id", "run_id"), ("name", "display_name"), ("state", "status"))
    yield from (TrackedRun(run.run_id, run.name, run.status, _public(run.facts)) for run in found)


def _opened(table: pd.DataFrame) -> pd.DataFrame:
    """Cells that are dictionaries, as columns; `config.` and `summary.` before their names."""
    import pandas as pd

    rows = []
    for at, row in enumerate(table.to_dict("records")):
        held = {key: value for key, value in row.items() if key not in DICTIONARIES}
        for key in DICTIONARIES:
            held |= dict(flat(_dictionary(row[key], f"row {at + 1}, column {key}"), f"{key}."))
        rows.append(held)
    return pd.DataFrame(rows)


def _dictionary(text: str, where: str) -> Mapping[str, Any]:
    """A dictionary as Python prints it, in which `nan` and `inf` are numbers."""
    try:
        tree = ast.parse(text, mode="eval")
        found = ast.literal_eval(_Numbers().visit(tree))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{where}: not a dictionary ({text[:40]})") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{where}: not a dictionary ({text[:40]})")
    return found


class _Numbers(ast.NodeTransformer):
    """The names nan and inf as text, which `_public` reads."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        known = {"nan": "NaN", "inf": "Infinity"}
        return ast.Constant(known[node.id]) if node.id in known else node
