"""Importers: the runs of another tracker, from its exports, folders, event files or databases.

An importer is one file here, found by its name, with

    def runs(path: Path) -> Iterator[TrackedRun]

which reads the files at `path` and nothing else. It raises UserError where it finds no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from analysis.tables.importers._form import Imported, TrackedRun, gathered
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.common.remote import local


def names() -> tuple[str, ...]:
    """The importers, by name."""
    return plugins.names(__name__)


def load(name: str, path: str | Path) -> Imported:
    """The runs that an importer finds at a path or a URL, as one table and its histories."""
    path = local(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    read = cast(
        Callable[[Path], Iterator[TrackedRun]], plugins.find(__name__, name, "import", "runs")
    )
    found = list(read(path))
    if not any(run.facts or run.history for run in found):
        raise UserError(f"{path}: no run of {name} here")
    return gathered(name, path, found)
