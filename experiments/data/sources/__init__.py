"""Sources of text: a plug-in folder, one file for each, found by its name.

A source file defines ``SOURCE``, a `Source`. experiments/data/documents.py drops empty and repeated
documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from experiments.config.data import CorpusConfig
from experiments.data.sources._source import (
    SEPARATOR,
    UNREADABLE,
    Document,
    Skipped,
    Source,
    printable,
)
from scaling.common import plugins
from scaling.common.errors import UserError

__all__ = [
    "SEPARATOR",
    "UNREADABLE",
    "Document",
    "Skipped",
    "Source",
    "documents",
    "printable",
    "source_of",
]


def source_of(config: CorpusConfig) -> Source:
    """The source that a corpus names.

    Raises:
        UserError: no such source, a package is missing, or a path that it does not take.
    """
    source: Source = plugins.find(__name__, config.source, "data.source", "SOURCE")
    if source.takes_path and not config.path:
        raise UserError(f"data.path is empty: data.source={config.source} needs one")
    if config.path and source.takes_path is False:
        raise UserError(
            f"data.path={config.path}: data.source={config.source} takes no path; "
            "set data.source=files or data.source=huggingface"
        )
    return source


def found_here(name: str) -> tuple[int | None, str]:
    """Bytes of the files that an embedded source reads on this machine, and its usage.

    The size of a source that needs a path, or generates its text, is None.
    """
    source: Source = plugins.find(__name__, name, "data.source", "SOURCE")
    if source.takes_path is not False or source.files is None:
        return None, source.usage
    files = source.files(CorpusConfig(source=name))
    return sum(file.stat().st_size for file in files if isinstance(file, Path)), source.usage


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    """The documents of a corpus, and all that gives none, in the order of its source."""
    return source_of(config).documents(config)
