"""Text, JSONL and Parquet files of data.path: a file, a folder, a glob, several with commas, URLs.

A file is one document; a JSONL or Parquet file is one document per row, the value of data.field.
Files compressed by gzip, zstd, bzip2 or xz are read. Hidden files and folders are left out. A file
that gives no text is skipped, and so is a row beside others that give some.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._codecs import CODECS, DAMAGE, HEAD_BYTES, format_suffix, opened
from experiments.data.sources._files import find, home, is_folder, no_file, reason_of
from experiments.data.sources._rows import FORMATS, PARQUET
from experiments.data.sources._source import SEPARATOR, Document, Skipped, Source, printable
from scaling.common.errors import UserError
from scaling.common.remote import RemoteFile, is_url, matching

FIRST_BYTES = {  # of what is no text
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x04\x22\x4d\x18": "compressed by lz4, which is not read",
    b"\x1f\x9d": "compressed by compress, which is not read",
    b"\xff\xfe": "UTF-16; convert it to UTF-8",
    b"\xfe\xff": "UTF-16; convert it to UTF-8",
}
SYNTAX = (".csv", ".jl", ".json", ".tsv")
CHUNK_BYTES = 2**20
NO_SUCH = "no such file or folder, and no file matches it"
AS_TEXT = "read as plain text, syntax and all; rows are read from .jsonl and .parquet"


def list_files(config: CorpusConfig) -> list[Path | RemoteFile | Skipped]:
    """The files that data.path names, sorted; folders that cannot be read come first, URLs last.

    Raises:
        UserError: a name stands for no file.
    """
    whole = os.path.lexists(home(config.path))
    names = [config.path] if whole else list(map(str.strip, config.path.split(",")))
    unlisted: list[Skipped] = []
    found: list[Path] = []
    remote: dict[str, RemoteFile] = {}
    for name in filter(None, names):
        if is_url(name):
            remote |= _at_url(name)
            continue
        files = find(name, unlisted)
        if not files and not unlisted:
            nothing = "the folder holds no files" if is_folder(home(name)) else NO_SUCH
            raise UserError(f"data.path={name}: {nothing}")
        found += files
    urls = [remote[url] for url in sorted(remote)]
    return [*dict.fromkeys(unlisted), *_by_real_path(found), *urls]


def _at_url(url: str) -> dict[str, RemoteFile]:
    """The files of a URL, a folder of it or a glob, by their URLs."""
    if found := {file.url: file for file in matching(url)}:
        return found
    raise UserError(f"data.path={url}: {NO_SUCH}")


def _by_real_path(found: Sequence[Path]) -> list[Path]:
    """The files, sorted by real path, each once: by a name with a known suffix, if it has one."""
    folders = {folder: os.path.realpath(folder) for folder in {path.parent for path in found}}

    def real_path(path: Path) -> str:
        own = f"{folders[path.parent]}/{path.name}"
        return os.path.realpath(own) if path.is_symlink() else own

    best_last = sorted(found, key=lambda path: (_suffix(path) in FORMATS, str(path)))
    real = {real_path(path): path for path in best_last}
    return [real[key] for key in sorted(real)]


def _suffix(path: Path | RemoteFile) -> str:
    """The suffix of a file's name, or of that which a link leads to, if it tells the format."""
    own = format_suffix(path)
    if own in FORMATS or isinstance(path, RemoteFile) or not path.is_symlink():
        return own
    real = format_suffix(Path(os.path.realpath(path)))
    return real if real in FORMATS else own


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    for file in list_files(config):
        yield from [file] if isinstance(file, Skipped) else _documents(file, config.field)


def _documents(path: Path | RemoteFile, field: str) -> Iterator[Document | Skipped]:
    """The documents of one file, as many as can be read of it."""
    name, rows = printable(str(path)), 0
    try:
        reason = (None if isinstance(path, RemoteFile) else no_file(path)) or _no_text(path)
        if reason:
            yield Skipped(name, reason)
            return
        for each in _rows(path, field):
            rows += 1
            yield each
    except DAMAGE as error:
        kept = f", after {rows:,} rows" if rows else ""
        yield Skipped(name, reason_of(error) + kept)
    else:
        if not rows:
            yield Skipped(name, "empty")


def _rows(path: Path | RemoteFile, field: str) -> Iterator[Document | Skipped]:
    name, suffix = printable(str(path)), _suffix(path)
    with opened(path) as (content, codec):
        if suffix not in FORMATS:
            yield Document(name, content.read(), AS_TEXT if suffix in SYNTAX else "")
            return
        if suffix == PARQUET and codec:
            content = io.BytesIO(content.read())  # its index is at the end
        yield from FORMATS[suffix](content, name, field)


def _no_text(path: Path | RemoteFile) -> str | None:
    """The reason why a file holds no text, by its first bytes; None if it may.

    A compressed file is read to its end, so that no row of a damaged one is used.
    """
    with opened(path) as (content, codec):
        head = content.read(HEAD_BYTES)
        while codec and content.read(CHUNK_BYTES):  # checksums are at the end
            pass
    named = path.suffix.lower()
    if named in CODECS and named != codec and head:
        return f"named {named}, and not compressed so"
    if _suffix(path) == PARQUET:
        return None
    found = next((kind for first, kind in FIRST_BYTES.items() if head.startswith(first)), None)
    return found or ("binary" if SEPARATOR in head else None)


SOURCE = Source(
    documents, files=list_files, usage="data.path=FOLDER, a file or a glob, or several with commas"
)
