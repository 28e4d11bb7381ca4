"""MLflow: the database of a tracking server, a folder `mlruns`, and tables of runs (CSV).

The tables are those of `mlflow.search_runs`, with `params.` and `metrics.` before the names, and of
the user interface. Databases and folders are read as they lie, without MLflow.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from analysis.tables.files import load_table
from analysis.tables.importers._form import TrackedRun, from_table, reading
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

SQLITE = b"SQLite format 3\0"
STATES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
OURS = "mlflow."  # begins the tags that MLflow sets itself
DELETED = "deleted"


def runs(path: Path) -> Iterator[TrackedRun]:
    """The runs of a database, of every experiment in a folder, or of a table."""
    if path.is_dir():
        for database in sorted(each for each in path.rglob("*.db") if _is_database(each)):
            yield from _database(database)
        for meta in sorted(path.rglob("meta.yaml")):
            if (meta.parent / "metrics").is_dir() and (meta.parent / "params").is_dir():
                yield from _folder(meta)
    elif _is_database(path):
        yield from _database(path)
    else:
        table = load_table(path)
        yield from from_table(
            table, ("run_id", "run id"), ("tags.mlflow.runname", "name", "run name"), ("status",)
        )


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _database(path: Path) -> Iterator[TrackedRun]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            heads = database.execute(
                "select run_uuid, r.name, status, e.name from runs r join experiments e "
                "using (experiment_id) where r.lifecycle_stage != ? order by start_time",
                (DELETED,),
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path}: no database of MLflow ({error})") from error
        for run_id, name, status, experiment in heads:
            with reading(path, sqlite3.Error):
                params = database.execute(
                    "select key, value from params where run_uuid = ?", (run_id,)
                ).fetchall()
                tags = database.execute(
                    "select key, value from tags where run_uuid = ?", (run_id,)
                ).fetchall()
                points = database.execute(
                    "select step, key, value, is_nan from metrics where run_uuid = ? "
                    "order by step, timestamp",
                    (run_id,),
                )
                facts = {"experiment": experiment, **_tags(tags), **dict(params)}
                rows = _rows(
                    (at, key, math.nan if bad else value) for at, key, value, bad in points
                )
            yield TrackedRun(run_id, name or run_id, status, facts, rows)


def _folder(meta: Path) -> Iterator[TrackedRun]:
    """A run of a file store: a file for each parameter, tag and metric."""
    yaml = import_extra("yaml", "mlflow", f"{meta}: YAML")
    with reading(meta, yaml.YAMLError):
        head = yaml.safe_load(meta.read_text(encoding="utf-8"))
        if head["lifecycle_stage"] == DELETED:
            return
        status = head["status"] if isinstance(head["status"], str) else STATES[head["status"]]
        run_id, title = head["run_id"], head["run_name"] or head["run_id"]
    points = []
    for name, text in _files(meta.parent / "metrics"):
        with reading(meta.parent / "metrics" / name):
            for line in text.splitlines():
                _, value, *step = line.split()
                points.append((int(step[0]) if step else 0, name, float(value)))
    facts = {**_tags(_files(meta.parent / "tags")), **dict(_files(meta.parent / "params"))}
    points.sort(key=lambda point: point[0])
    yield TrackedRun(run_id, title, status, facts, _rows(iter(points)))


def _files(folder: Path) -> list[tuple[str, str]]:
    """Name below the folder, and content, of each file."""
    return [
        (str(file.relative_to(folder)), file.read_text(encoding="utf-8", errors="replace"))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def _tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {f"tags.{name}": value for name, value in pairs if not name.startswith(OURS)}


def _rows(points: Iterator[tuple[int, str, float]]) -> list[dict[str, Any]]:
    """One row for each step; of a value logged twice, the later."""
    rows: dict[int, dict[str, Any]] = {}
    for step, name, value in points:
        rows.setdefault(step, {"step": step})[name] = value
    return list(rows.values())
