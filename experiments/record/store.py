"""Readers and writers of the record, one for files and one for rows.

Each reader checks the bytes that it reads against their checksums (`checksums`). `run_status`
checks all files of an ended run against its summary. Checkpoints are checked where they are used.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from experiments.record.checksums import FILE, ROW
from experiments.record.run import FileSum, ItemRow, MetricsRow, RunSummary
from experiments.record.schema import (
    CHECKPOINTS,
    CONFIG,
    ELSEWHERE,
    EVALUATIONS,
    METRICS,
    SCHEMA,
    STUDY,
    SUMMARY,
    TOKENIZER,
    File,
    Status,
)
from scaling.common import files, remote
from scaling.common.errors import UserError
from scaling.common.files import DamagedError, TypedError

MEND_ROWS = "run the study again, which trains the run anew"
RUN_ID = re.compile("[0-9a-f]{12}")  # as experiments/config/identity.py makes it
TAIL = 4096  # bytes: the last rows, however long the file

F = TypeVar("F", bound=File)
R = TypeVar("R", MetricsRow, ItemRow)


class _Version(msgspec.Struct):
    schema: Any = None


def study_folder(text: str | Path) -> Path:
    """The folder of a study that a command names: a path, or a name of a folder in runs/.

    Raises:
        UserError: the text is empty, which a Path takes for the current folder.
    """
    files.check_path(text)
    path, there = Path(text), Path("runs") / text
    return there if not path.exists() and (there / STUDY).is_file() else path


def records_at(path: str | Path) -> Path:
    """The path, or the copy here of the records at a URL, without checkpoints.

    Raises:
        UserError: the text is empty, nothing is at the URL, or its service refuses.
    """
    files.check_path(path)
    return remote.local(path, (CHECKPOINTS,))


def reading_folder(text: str | Path) -> Path:
    """The folder or file that a command reads: as `study_folder`, or at a URL."""
    return records_at(text) if remote.is_url(text) else study_folder(text)


def write(folder: Path, value: File) -> None:
    """Write one JSON file of the record into its folder, atomically, with its checksum."""
    text = json.dumps(files.plain(value), indent=1, allow_nan=False) + "\n"
    sealed, _ = FILE.add(text.encode())
    files.write_bytes(folder / value.NAME, sealed, ELSEWHERE)


def read(folder: Path, kind: type[F]) -> F:
    """Read the file of a kind in a folder, such as ``read(run, RunSummary)``."""
    return read_file(folder / kind.NAME, kind)


def read_file(path: Path, kind: type[F]) -> F:
    """Read one JSON file of the record.

    Raises:
        UnreadableError: the system refuses.
        UserError: another version wrote it.
        DamagedError: it is no file or not JSON, differs from its checksum, or has no checksum and a
            field that is unknown, missing or of another type.
    """
    try:
        _check_file(path, kind.MEND)
        content = path.read_bytes()
    except OSError as error:
        raise files.unreadable(path, error) from error
    text, _, is_whole = FILE.take(content)
    try:
        value = files.decode(text, kind, str(path), kind.MEND)
    except TypedError as error:
        found = _schema(text)
        if is_whole and found == SCHEMA:
            raise
        if is_whole is False or not isinstance(found, int) or found == SCHEMA:
            raise DamagedError(str(error)) from error
    else:
        if is_whole is False:
            raise DamagedError(f"{path}: differs from its checksum; {kind.MEND}")
        return value
    raise UserError(
        f"{path}: record schema {found}, this version reads {SCHEMA}; "
        "use another folder with --out, or move this one away"
    )


def _check_file(path: Path, mend: str) -> None:
    """Refuse a pipe, which would hold a reader up for ever, and other things that are no file."""
    if not path.is_file() and os.path.lexists(path):
        raise DamagedError(f"{path}: is no file; {mend}")


def _schema(text: bytes) -> Any:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(text, type=_Version).schema
    return None


def append_rows(path: Path, rows: Iterable[MetricsRow | ItemRow]) -> None:
    """Append whole lines in one write: a kill leaves at most one torn last line."""
    with files.writing(path, ELSEWHERE):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.write(_sealed(rows, _sum_of_rows(file)))


def rewrite_rows(path: Path, rows: Iterable[MetricsRow | ItemRow]) -> None:
    """Replace the whole file with these rows, atomically."""
    files.write_bytes(path, _sealed(rows, 0), ELSEWHERE)


def _sealed(rows: Iterable[MetricsRow | ItemRow], total: int) -> bytes:
    """Lines of these rows after others of the sum `total`."""
    lines = []
    for row in rows:
        line, total = ROW.add(files.line(row).encode(), total)
        lines.append(line)
    return b"".join(lines)


def _sum_of_rows(file: BinaryIO) -> int:
    """The running sum at the end of a file: of its last row, or of rows that have none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    last = file.read(min(size, TAIL)).rsplit(b"\n", 2)[-2:-1]
    _, mark, digits = last[0].rpartition(ROW.mark) if last else (b"", b"", b"")
    if mark and digits[:-1].isdigit():
        return int(digits[:-1])
    file.seek(0)
    return zlib.crc32(file.read(size))


def read_rows(path: Path) -> Iterator[MetricsRow]:
    """Read the rows of a metrics.jsonl, without a torn last line.

    Raises:
        DamagedError: a whole line is not a row, or a row was changed, lost or doubled.
    """
    return _rows(path, MetricsRow)


def read_items(path: Path) -> Iterator[ItemRow]:
    """Read the rows of an evaluations/<task>.jsonl, as `read_rows` does."""
    return _rows(path, ItemRow)


def newest_rows(path: Path) -> Iterator[MetricsRow]:
    """The rows in the last `TAIL` bytes of a metrics.jsonl, newest first, without damaged lines.

    None of a file that is missing or that this process may not read.
    """
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - TAIL)
            file.seek(start)
            lines = file.read().split(b"\n")[start > 0 : -1]
    except (FileNotFoundError, PermissionError):
        return
    decoder = msgspec.json.Decoder(MetricsRow)
    for line in reversed(lines):
        with suppress(msgspec.DecodeError):
            yield decoder.decode(ROW.take(line + b"\n")[0])


def _rows(path: Path, kind: type[R]) -> Iterator[R]:
    if not os.path.lexists(path):
        return
    decoder, total, summed = msgspec.json.Decoder(kind), 0, False
    for number, line in enumerate(_lines(path), 1):
        if not line.endswith(b"\n"):
            return
        text, total, is_whole = ROW.take(line, total)
        row = _row(decoder, text, f"{path}:{number}")
        if is_whole is False or (summed and is_whole is None):
            raise _damaged(f"{path}:{number}", "differs from its checksum")
        summed = summed or is_whole is True
        yield row


def _lines(path: Path) -> Iterator[bytes]:
    try:
        _check_file(path, MEND_ROWS)
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise files.unreadable(path, error) from error


def _row(decoder: msgspec.json.Decoder[R], line: bytes, where: str) -> R:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        reason = f"not a row of the record ({files.field_and_reason(error)})"
    except (msgspec.DecodeError, UnicodeDecodeError):
        reason = "not valid JSON"
    raise _damaged(where, reason)


def _damaged(where: str, reason: str) -> DamagedError:
    return DamagedError(f"{where}: {reason}; {MEND_ROWS}")


def sums(run: Path) -> dict[str, FileSum]:
    """Sizes and checksums of a run's files but checkpoints, for its summary."""
    items = sorted((run / EVALUATIONS).glob("*.jsonl"))
    named = [run / name for name in (CONFIG, TOKENIZER, METRICS)]
    found = (path for path in [*named, *items] if path.is_file())
    return {path.relative_to(run).as_posix(): _sum(path) for path in found}


def changed(run: Path, summary: RunSummary) -> dict[str, str]:
    """Files of an ended run that differ from its summary, with the difference in words.

    None can differ from a summary of an earlier version, without sums.
    """
    found = {}
    for name, wanted in summary.files.items():
        path = run / name
        if not path.is_file():
            found[name] = "is missing"
        elif _sum(path) != wanted:
            found[name] = "has changed since the run ended"
    return found


def _sum(path: Path) -> FileSum:
    stat = path.stat()
    return _read_sum(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@cache
def _read_sum(path: Path, size: int, modified: int, inode: int) -> FileSum:
    """The sum of a file, read once for each of its states."""
    try:
        return FileSum(bytes=size, crc32=zlib.crc32(path.read_bytes()))
    except OSError as error:
        raise files.unreadable(path, error) from error


def may_hold(run: Path, run_id: str) -> bool:
    """True unless the folder is named by the id of another run: a copy, or a wrong name."""
    return run.name == run_id or not (RUN_ID.fullmatch(run.name) and RUN_ID.fullmatch(run_id))


def run_status(run: Path) -> Status:
    """State of one run folder, from its files alone.

    A damaged summary counts as none, and so does one of another run, or from which the run's files
    differ.

    Raises:
        UnreadableError: the system does not let this process read them.
    """
    try:
        if not (run / SUMMARY).exists():
            return Status.STARTED if (run / CONFIG).exists() else Status.MISSING
    except PermissionError as error:
        raise files.unreadable(run, error) from error
    with suppress(DamagedError):
        summary = read(run, RunSummary)
        if may_hold(run, summary.run_id) and not changed(run, summary):
            return summary.status
    return Status.STARTED
