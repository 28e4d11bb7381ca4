"""A source of text as a value, and the documents that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from experiments.config.data import CorpusConfig
from scaling.common.remote import RemoteFile

SEPARATOR = b"\0"  # ends every document in a token store; content that holds it is binary
UNREADABLE = "unreadable"  # begins a reason that may pass: an error of the system


class Document(NamedTuple):
    """A name for messages, the text as bytes, unfiltered, and a remark on how it was read."""

    name: str
    content: bytes
    remark: str = ""


class Skipped(NamedTuple):
    """A file, folder or row that gives no document, and the reason."""

    name: str
    reason: str


def printable(name: str) -> str:
    """The name of a file in one line: line breaks and undecodable bytes are spelled out."""
    return name if name.isprintable() else repr(name)[1:-1]


@dataclass(frozen=True)
class Source:
    """The documents of a corpus, in an order that depends on the text alone.

    ``takes_path``  True: it needs data.path; False: it refuses one; None: it may have one.
    ``files``       its files, where their times and versions can stand for their content.
    ``entropy``     of a generator: nats per byte that its rules leave open.
    ``usage``       how its path is written, or where its text comes from.
    """

    documents: Callable[[CorpusConfig], Iterator[Document | Skipped]]
    takes_path: bool | None = True
    files: Callable[[CorpusConfig], Sequence[Path | RemoteFile | Skipped]] | None = None
    entropy: Callable[[CorpusConfig], float] | None = None
    usage: str = ""
