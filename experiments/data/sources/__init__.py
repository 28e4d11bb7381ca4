"""Sources of text: a plug-in folder, one file for each, found by its name.

A source file defines ``SOURCE``, a `Source`. experiments/data/documents.py drops empty and repeated
documents.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    if config.path and not source.takes_path:
        raise UserError(
            f"data.path={config.path}: data.source={config.source} takes no path; "
            "set data.source=files or data.source=huggingface"
        )
    return source


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    """The documents of a corpus, and all that gives none, in the order of its source."""
    return source_of(config).documents(config)
