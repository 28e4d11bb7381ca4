"""Documents from the rows of a file; a new format is a function and its line in ``FORMATS``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from experiments.data.sources._files import one_line, unreadable
from experiments.data.sources._source import Document
from scaling.common.errors import UserError, nearest
from scaling.common.extras import import_extra


def read_jsonl(path: Path, field: str) -> Iterator[Document]:
    """One document per line: the value under ``field``. Blank lines are no rows."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    place = f"{path}:{number}"
                    yield Document(place, _jsonl_text(line, field, place))
    except OSError as error:
        raise unreadable(path, error) from error


def _jsonl_text(line: bytes, field: str, place: str) -> bytes:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error}); mend or remove the line") from error
    if not isinstance(row, dict):
        raise UserError(f"{place}: a JSON {type(row).__name__}, not an object with fields")
    if field not in row:
        raise no_field(place, field, row)
    return text_bytes(row[field], field, place)


def read_parquet(path: Path, field: str) -> Iterator[Document]:
    """One document per row: the value of the column ``field``."""
    parquet = import_extra("pyarrow.parquet", "text", f"{path}: reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                raise no_field(f"{path}: row 0", field, file.schema_arrow.names)
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for value in batch.column(0).to_pylist():
                    place = f"{path}: row {row}"
                    yield Document(place, text_bytes(value, field, place))
                    row += 1
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)})") from error


def text_bytes(value: object, field: str, place: str) -> bytes:
    """A row's text as UTF-8; null is empty, and a lone surrogate stays visible as non-UTF-8."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    raise UserError(
        f"{place}: field '{field}' holds a {type(value).__name__}, not text; set data.field"
    )


def no_field(place: str, field: str, known: Collection[str]) -> UserError:
    hint = nearest(field, map(str, known))
    names = ", ".join(sorted(map(str, known)))
    listed = hint if hint.startswith("known") else f"{hint}; known: {names}"
    return UserError(f"{place}: no field '{field}' ({listed}); set data.field")


FORMATS: Mapping[str, Callable[[Path, str], Iterator[Document]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}
