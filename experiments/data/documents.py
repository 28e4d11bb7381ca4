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
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from experiments.config.data import CorpusConfig, Split
from experiments.data.sources import SEPARATOR, Document, Skipped, printable
from experiments.data.sources._files import tokenizer_content
from scaling.common.errors import UserError

FORMAT = 1  # of the stored tokens; part of the fingerprint, so another format is another corpus
FINGERPRINT_LETTERS = 16
NAMES, FEW = 10, 3  # names kept for each reason, and those shown where there are more
CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")  # in no text of an older encoding
NOT_UTF8 = "not UTF-8 (kept; for a BPE U+FFFD replaces the bytes)"


@dataclass
class Named:
    """A count of documents, and the names of the first."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= NAMES:
            self.names.append(printable(name))

    def __str__(self) -> str:
        shown = self.names if self.count <= NAMES else self.names[:FEW]
        more = self.count - len(shown)
        return f"{self.count:,} ({', '.join(shown)}{f' and {more:,} more' if more else ''})"


@dataclass
class Tally:
    """Counts of the documents read, and of all that was left out or is odd, by reason."""

    documents: int = 0  # kept
    skipped: dict[str, Named] = field(default_factory=dict)
    remarks: dict[str, Named] = field(default_factory=dict)  # on kept documents

    def skip(self, name: str, reason: str) -> None:
        self.skipped.setdefault(reason, Named()).add(name)

    def keep(self, name: str, *remarks: str) -> None:
        self.documents += 1
        for remark in filter(None, remarks):
            self.remarks.setdefault(remark, Named()).add(name)

    def check(self, config: CorpusConfig) -> None:
        """Raise a UserError where no document was kept."""
        if not self.documents:
            odd = "; ".join(self.lines()) or "no rows"
            named = f"data.path={config.path}" if config.path else f"data.source={config.source}"
            raise UserError(f"{named}: no text to train on ({odd})")

    def lines(self) -> list[str]:
        """One line for each reason, with names."""
        skipped = [f"skipped, {reason}: {found}" for reason, found in self.skipped.items()]
        return skipped + [f"{remark}: {found}" for remark, found in self.remarks.items()]


@dataclass(frozen=True)
class Reading:
    """One pass over the text of a corpus: its identity and its counts."""

    fingerprint: str
    tally: Tally


class Usable(NamedTuple):
    digest: bytes  # SHA-256 of the content
    content: bytes


@dataclass(frozen=True)
class Rule:
    """Documents to leave out: duplicates, those of other sources, and those of low score."""

    keeps_duplicates: bool = False
    elsewhere: frozenset[bytes] = frozenset()  # digests of documents that are left out
    score: Callable[[bytes], float] | None = None
    least: float = -inf

    def reason(self, content: bytes, digest: bytes, seen: set[bytes]) -> str:
        """Why a document is left out; empty for one that is kept."""
        if digest in seen and not self.keeps_duplicates:
            return "duplicate"
        if digest in self.elsewhere:
            return "in another source"
        if self.score is not None and self.score(content) < self.least:
            return "below the score of data.filter"
        return ""


def usable_documents(
    found: Iterable[Document | Skipped], tally: Tally, rule: Rule = Rule()
) -> Iterator[Usable]:
    """The documents for training or validation, counted into ``tally``."""
    seen: set[bytes] = set()
    for each in found:
        if isinstance(each, Skipped):
            tally.skip(*each)
            continue
        digest = hashlib.sha256(each.content).digest()
        is_utf8 = _is_utf8(each.content)
        reason = _unusable(each.content, is_utf8) or rule.reason(each.content, digest, seen)
        if reason:
            tally.skip(each.name, reason)
            continue
        seen.add(digest)
        tally.keep(each.name, each.remark, "" if is_utf8 else NOT_UTF8)
        yield Usable(digest, each.content)


def _unusable(content: bytes, is_utf8: bool) -> str:
    if not content.strip():
        return "empty"
    is_text = SEPARATOR not in content and (is_utf8 or not CONTROL.search(content))
    return "" if is_text else "binary"


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
        rules: dict[str, object] = {
            "format": FORMAT,
            "tokenizer": config.tokenizer,
            "vocab_size": config.vocab_size,
            "valid_fraction": float(config.valid_fraction),
        }
        if config.tokenizer == "file":
            rules["tokenizer_sha256"] = hashlib.sha256(tokenizer_content(config)).hexdigest()
        self._hash = hashlib.sha256(json.dumps(rules, sort_keys=True).encode())

    def add(self, digest: bytes) -> None:
        self._hash.update(digest)

    def text(self) -> str:
        return self._hash.hexdigest()[:FINGERPRINT_LETTERS]
