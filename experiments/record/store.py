"""Readers and writers of the record, one for files and one for rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from experiments.record.run import ItemRow, MetricsRow, RunSummary
from experiments.record.schema import CONFIG, ELSEWHERE, SCHEMA, SUMMARY, File, Status
from scaling.common import files
from scaling.common.errors import UserError
from scaling.common.files import DamagedError, TypedError

TAIL = 4096  # bytes: the last rows, however long the file

F = TypeVar("F", bound=File)
R = TypeVar("R", MetricsRow, ItemRow)


class _Version(msgspec.Struct):
    schema: Any = None


def write(folder: Path, value: File) -> None:
    """Write one JSON file of the record into its folder, atomically."""
    files.write_json(folder / value.NAME, value, ELSEWHERE)


def read(folder: Path, kind: type[F]) -> F:
    """Read the file of a kind in a folder, such as ``read(run, RunSummary)``."""
    return read_file(folder / kind.NAME, kind)


def read_file(path: Path, kind: type[F]) -> F:
    """Read one JSON file of the record.

    Raises:
        UserError: it is unreadable, of another version, or a field is unknown, missing or of
            another type; DamagedError: it is not JSON.
    """
    try:
        return files.read_json(path, kind, "move the folder away")
    except TypedError:
        found = files.read_json(path, _Version).schema
        if found == SCHEMA:
            raise
    raise UserError(
        f"{path}: record schema {found}, this version reads {SCHEMA}; "
        "use another folder with --out, or move this one away"
    )


def append_rows(path: Path, rows: Iterable[MetricsRow | ItemRow]) -> None:
    """Append whole lines in one write: a kill leaves at most one torn last line."""
    text = "".join(map(files.line, rows))
    with files.writing(path, ELSEWHERE):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def rewrite_rows(path: Path, rows: Iterable[MetricsRow | ItemRow]) -> None:
    """Replace the whole file with these rows, atomically."""
    files.write_bytes(path, "".join(map(files.line, rows)).encode(), ELSEWHERE)


def read_rows(path: Path) -> Iterator[MetricsRow]:
    """Read the rows of a metrics.jsonl, without a torn last line.

    Raises:
        DamagedError: a whole line is not a row.
    """
    return _rows(path, MetricsRow)


def read_items(path: Path) -> Iterator[ItemRow]:
    """Read the rows of an evaluations/<task>.jsonl, as `read_rows` does."""
    return _rows(path, ItemRow)


def last_rows(path: Path) -> list[MetricsRow]:
    """Read the rows in the last `TAIL` bytes of a metrics.jsonl; damaged lines are skipped."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - TAIL)
        file.seek(start)
        lines = file.read().split(b"\n")[start > 0 : -1]
    decoder, rows = msgspec.json.Decoder(MetricsRow), []
    for line in lines:
        with suppress(msgspec.DecodeError):
            rows.append(decoder.decode(line))
    return rows


def _rows(path: Path, kind: type[R]) -> Iterator[R]:
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield _row(decoder, line, f"{path}:{number}")


def _row(decoder: msgspec.json.Decoder[R], line: bytes, where: str) -> R:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        reason = f"not a row of the record ({files.field_and_reason(error)})"
    except msgspec.DecodeError:
        reason = "not valid JSON"
    raise DamagedError(f"{where}: {reason}; delete the line")


def run_status(run: Path) -> Status:
    """State of one run folder, from its files alone; a damaged summary counts as none."""
    with suppress(DamagedError):
        if (run / SUMMARY).exists():
            return read(run, RunSummary).status
    return Status.STARTED if (run / CONFIG).exists() else Status.MISSING
