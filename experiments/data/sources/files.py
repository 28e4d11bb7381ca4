"""Text, JSONL and Parquet files of data.path: a file, a folder or a glob.

A file is one document; a JSONL or Parquet file is one document per row, the value of data.field.
Paths are sorted; hidden files and folders are left out.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import read_file, walk
from experiments.data.sources._rows import FORMATS
from experiments.data.sources._source import Document, Source
from scaling.common.errors import UserError


def list_files(config: CorpusConfig) -> list[Path]:
    """The files that data.path names, sorted.

    Raises:
        UserError: there are none.
    """
    root = Path(config.path).expanduser()
    if root.is_file():
        return [root]
    if root.is_dir():
        found = list(walk(root, _is_visible))
        empty = "the folder holds no files"
    else:
        matches = glob.iglob(str(root), recursive=True)  # noqa: PTH207 - Path.glob is relative
        found = [path for path in map(Path, matches) if path.is_file()]
        empty = "no such file or folder, and no file matches it"
    if not found:
        raise UserError(f"data.path={config.path}: {empty}")
    return sorted(found, key=Path.as_posix)


def documents(config: CorpusConfig) -> Iterator[Document]:
    for path in list_files(config):
        suffix = path.suffix.lower()
        if suffix in FORMATS:
            yield from FORMATS[suffix](path, config.field)
        else:
            yield Document(str(path), read_file(path))


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


SOURCE = Source(documents, files=list_files)
