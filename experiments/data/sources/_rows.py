"""Documents from the rows of a file; a new format is a function and its line in ``FORMATS``.

A row that gives no text is skipped. Where no row gives any, the first is refused: then the setting
or the format is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any, TypeVar

from experiments.data.sources._files import one_line, reason_of
from experiments.data.sources._source import Document, Skipped
from scaling.common.errors import UserError, nearest
from scaling.common.plugins import import_extra

T = TypeVar("T")
PARQUET = ".parquet"
Rows = Iterator[Document | Skipped]


class RowError(Exception):
    """A row that gives no text: the reason that many rows may share, and the rest of the line."""

    def __init__(self, reason: str, rest: str) -> None:
        super().__init__(f"{reason}{rest}")
        self.reason = reason


def usable_rows(rows: Iterable[tuple[str, T]], text: Callable[[T], bytes]) -> Rows:
    """A document for each (place, row).

    Raises:
        UserError: rows were refused, and none gave a text.
    """
    refused, used = "", False
    for place, row in rows:
        try:
            content = text(row)
        except RowError as error:
            refused = refused or f"{place}: {error}"
            yield Skipped(place, error.reason)
        else:
            used = True
            yield Document(place, content)
    if refused and not used:
        raise UserError(refused)


def read_jsonl(file: IO[bytes], name: str, field: str) -> Rows:
    """One document per line: the value under ``field``. Blank lines are no rows."""
    lines = ((f"{name}:{k}", line) for k, line in enumerate(file, start=1) if line.strip())
    return usable_rows(lines, partial(_jsonl_text, field=field))


def _jsonl_text(line: bytes, field: str) -> bytes:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        rest = f" ({one_line(error)}); mend or remove the line"
        raise RowError("not valid JSON", rest) from error
    if not isinstance(row, dict):
        raise RowError(f"a JSON {type(row).__name__}, not an object with fields", "")
    return row_text(row, field)


def read_parquet(file: IO[bytes], name: str, field: str) -> Rows:
    """One document per row: the value of the column ``field``."""
    parquet = import_extra("pyarrow.parquet", "text", f"{name}: reading Parquet")
    try:
        table = parquet.ParquetFile(file)
        column = column_of(field, table.schema_arrow.names, name)
        batches = table.iter_batches(batch_size=1024, columns=[column])
        rows = (row for batch in batches for row in batch.to_pylist())
        places = ((f"{name}: row {k}", row) for k, row in enumerate(rows))
        yield from usable_rows(places, partial(row_text, field=field))
    except (ValueError, NotImplementedError) as error:  # pyarrow's errors are such
        yield Skipped(name, reason_of(error))


def column_of(field: str, known: Sequence[str], name: str) -> str:
    """The column that holds a field, its own or that of its first level.

    Raises:
        UserError: there is none.
    """
    column = field if field in known else field.partition(".")[0]
    if column not in known:
        raise UserError(f"{name}: row 0: {_no_field(field, known)}")
    return column


def row_text(row: Mapping[str, Any], field: str) -> bytes:
    """The text of a row as UTF-8, under ``field``, or level by level under ``a.b.c``.

    Null is empty, and a lone surrogate stays visible as non-UTF-8.

    Raises:
        RowError: there is no such field, or it holds no text.
    """
    value: Any = row
    for name in [field] if field in row else field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise _no_field(field, value if isinstance(value, Mapping) else row)
        value = value[name]
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    raise RowError(f"field '{field}' holds a {type(value).__name__}, not text", "; set data.field")


def _no_field(field: str, known: Iterable[str]) -> RowError:
    hint = nearest(field.rpartition(".")[2], map(str, known))
    names = ", ".join(sorted(map(str, known)))
    listed = hint if hint.startswith("known") else f"{hint}; known: {names}"
    return RowError(f"no field '{field}'", f" ({listed}); set data.field")


FORMATS: Mapping[str, Callable[[IO[bytes], str, str], Rows]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    PARQUET: read_parquet,
}
