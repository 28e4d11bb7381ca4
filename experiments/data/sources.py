"""Where text comes from: a table from the name of a source to the documents that it yields.

A document is a name and its bytes, unfiltered: what is too empty, binary or repeated to train on
is decided in one place, ``documents.py``. Order is the order of the sorted paths, then of the
rows. A new source is one function and its line in ``SOURCES``; a new file format is one function
and its line in ``FORMATS``.
"""

from __future__ import annotations

import glob
import json
import os
import sysconfig
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.config.data import DataConfig
from scaling.common.errors import UserError, nearest
from scaling.common.extras import import_extra

HEAD_BYTES = 8192  # a NUL this near the start marks a binary file, as git and grep have it

# Tests, other people's packages, and what differs between builds of one Python version.
STDLIB_SKIPPED = frozenset(
    {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"}
)
STDLIB_BUILD_PREFIXES = ("config-", "_sysconfigdata")


class Document(NamedTuple):
    name: str
    content: bytes


# ---------------------------------------------------------------- the standard library


def stdlib_documents(config: DataConfig) -> Iterator[Document]:
    """The .py files of the running interpreter's standard library, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(
        path.relative_to(root).as_posix()
        for path in _walk(root, _is_library)
        if path.suffix == ".py"
    )
    if not names:
        raise UserError(
            f"{root}: this Python carries no source of its standard library; "
            "set data.source=files and data.path"
        )
    for name in names:
        yield Document(name, _read(root / name))


def _is_library(name: str) -> bool:
    return name not in STDLIB_SKIPPED and not name.startswith(STDLIB_BUILD_PREFIXES)


# ---------------------------------------------------------------- files


def list_files(config: DataConfig) -> list[Path]:
    """The files that data.path names, sorted; hidden files and folders are left out."""
    root = Path(config.path).expanduser()
    if root.is_file():
        return [root]
    if root.is_dir():
        found = list(_walk(root, _is_visible))
        empty = "the folder holds no files"
    else:
        matches = glob.iglob(str(root), recursive=True)  # noqa: PTH207 - Path.glob is relative
        found = [path for path in map(Path, matches) if path.is_file()]
        empty = "no such file or folder, and no file matches it"
    if not found:
        raise UserError(f"data.path={config.path}: {empty}")
    return sorted(found, key=Path.as_posix)


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


def files_documents(config: DataConfig) -> Iterator[Document]:
    """Every document of every file under data.path, by the format that the suffix tells."""
    for path in list_files(config):
        suffix = path.suffix.lower()
        if suffix in FORMATS:
            yield from FORMATS[suffix](path, config.field)
        else:
            yield Document(str(path), _read(path))


def read_jsonl(path: Path, field: str) -> Iterator[Document]:
    """One document per line: the value under ``field``. Blank lines are no rows."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    place = f"{path}:{number}"
                    yield Document(place, _jsonl_text(line, field, place))
    except OSError as error:
        raise _unreadable(path, error) from error


def _jsonl_text(line: bytes, field: str, place: str) -> bytes:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error}); mend or remove the line") from error
    if not isinstance(row, dict):
        raise UserError(f"{place}: a JSON {type(row).__name__}, not an object with fields")
    if field not in row:
        raise _no_field(place, field, row)
    return _text_bytes(row[field], field, place)


def read_parquet(path: Path, field: str) -> Iterator[Document]:
    """One document per row: the value of the column ``field``."""
    parquet = import_extra("pyarrow.parquet", "text", f"{path}: reading Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                raise _no_field(f"{path}: row 0", field, file.schema_arrow.names)
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[field]):
                for value in batch.column(0).to_pylist():
                    place = f"{path}: row {row}"
                    yield Document(place, _text_bytes(value, field, place))
                    row += 1
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise UserError(f"{path}: not a readable Parquet file ({_one_line(error)})") from error


# ---------------------------------------------------------------- the Hugging Face hub


def huggingface_documents(config: DataConfig) -> Iterator[Document]:
    """The rows of a hub dataset's train split; ours is the validation split, as for any source."""
    datasets = import_extra("datasets", "hub", "data.source=huggingface")
    name, _, subset = config.path.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split="train")
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={config.path}: cannot load ({_one_line(error)})") from error
    if config.field not in rows.column_names:
        raise _no_field(f"{config.path}: row 0", config.field, rows.column_names)
    for number, row in enumerate(rows.select_columns([config.field])):
        place = f"{config.path}: row {number}"
        yield Document(place, _text_bytes(row[config.field], config.field, place))


# ---------------------------------------------------------------- shared


def _walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """The files below ``root``, entering only wanted folders: others may be far larger."""
    for folder, folders, files in os.walk(root):
        folders[:] = filter(wanted, folders)
        yield from (Path(folder, name) for name in filter(wanted, files))


def _read(path: Path) -> bytes:
    """The whole file; of a binary file only the head, by which it is told."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            return head if b"\0" in head else head + file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _text_bytes(value: object, field: str, place: str) -> bytes:
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


def _no_field(place: str, field: str, known: Collection[str]) -> UserError:
    hint = nearest(field, map(str, known))
    names = ", ".join(sorted(map(str, known)))
    listed = hint if hint.startswith("known") else f"{hint}; known: {names}"
    return UserError(f"{place}: no field '{field}' ({listed}); set data.field")


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot read ({error.strerror or _one_line(error)})")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


Reader = Callable[[Path, str], Iterator[Document]]

FORMATS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}

SOURCES: dict[str, Callable[[DataConfig], Iterator[Document]]] = {
    "stdlib": stdlib_documents,
    "files": files_documents,
    "huggingface": huggingface_documents,
}
