"""A source of text as a value, and the documents that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from experiments.config.data import CorpusConfig

HEAD_BYTES = 8192  # a NUL byte in this head marks a binary file, as for git and grep


class Document(NamedTuple):
    """A name for messages, and the text as bytes, unfiltered."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Source:
    """The documents of a corpus, in an order that depends on the text alone.

    ``takes_path``  True: it needs data.path; False: it refuses one.
    ``files``       its files, where their times can stand for their content.
    """

    documents: Callable[[CorpusConfig], Iterator[Document]]
    takes_path: bool = True
    files: Callable[[CorpusConfig], Sequence[Path]] | None = None
