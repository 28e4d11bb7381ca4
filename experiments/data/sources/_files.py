"""Files below a folder, and their bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.data.sources._source import HEAD_BYTES
from scaling.common.errors import UserError


def walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """The files below ``root``, entering only wanted folders: others may be far larger."""
    for folder, folders, files in os.walk(root):
        folders[:] = filter(wanted, folders)
        yield from (Path(folder, name) for name in filter(wanted, files))


def read_file(path: Path) -> bytes:
    """The whole file; of a binary file the head, which marks it as one."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            return head if b"\0" in head else head + file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot read ({error.strerror or one_line(error)})")
