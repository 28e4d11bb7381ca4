"""Usable documents, the split of each, and the fingerprint of all.

The SHA-256 of its bytes identifies a document. Exact duplicates are dropped, so no text is in both
splits. The split is a function of the content alone:

    validation  <=>  first 64 bits of SHA-256(content) < valid_fraction * 2^64

The fingerprint digests the rules of split and tokenizer, then the kept contents *in stored order*:
equal fingerprints mean equal token streams.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from experiments.config.data import CorpusConfig, Split
from experiments.data.sources._source import HEAD_BYTES, Document

FORMAT = 1  # of the stored tokens; part of the fingerprint, so another format is another corpus
FINGERPRINT_LETTERS = 16


@dataclass
class Tally:
    """Counts of the documents read."""

    documents: int = 0  # kept
    duplicates: int = 0  # dropped: same bytes as an earlier one
    empty: int = 0  # dropped: nothing but white space
    binary: int = 0  # dropped: a NUL byte in the head
    non_utf8: int = 0  # kept: exact as bytes, U+FFFD replaces what BPE cannot decode

    def skipped(self) -> str:
        """The documents left out or odd, in words; empty if there are none."""
        counts = {
            "duplicates dropped": self.duplicates,
            "empty skipped": self.empty,
            "binary skipped": self.binary,
            "not UTF-8 (kept)": self.non_utf8,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


class Usable(NamedTuple):
    digest: bytes  # SHA-256 of the content
    content: bytes


def usable_documents(documents: Iterable[Document], tally: Tally) -> Iterator[Usable]:
    """The documents for training or validation, counted into ``tally``."""
    seen: set[bytes] = set()
    for document in documents:
        content = document.content
        if not content.strip():
            tally.empty += 1
            continue
        if b"\0" in content[:HEAD_BYTES]:
            tally.binary += 1
            continue
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            tally.duplicates += 1
            continue
        seen.add(digest)
        tally.documents += 1
        tally.non_utf8 += not _is_utf8(content)
        yield Usable(digest, content)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def split_of(digest: bytes, valid_fraction: float) -> Split:
    """The side of the split on which the document with this digest falls."""
    return "valid" if int.from_bytes(digest[:8], "big") < valid_fraction * 2**64 else "train"


class Fingerprint:
    """Digest of the rules, then of each kept document in order."""

    def __init__(self, config: CorpusConfig) -> None:
        rules = {
            "format": FORMAT,
            "tokenizer": config.tokenizer,
            "vocab_size": config.vocab_size,
            "valid_fraction": float(config.valid_fraction),
        }
        self._hash = hashlib.sha256(json.dumps(rules, sort_keys=True).encode())

    def add(self, digest: bytes) -> None:
        self._hash.update(digest)

    def text(self) -> str:
        return self._hash.hexdigest()[:FINGERPRINT_LETTERS]
