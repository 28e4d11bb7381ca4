"""Documents to a stored corpus: tokenize, split, write, describe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from experiments.config.data import CorpusConfig, Split, left_out
from experiments.data import filters
from experiments.data.corpus import MANIFEST, Manifest, SplitFacts
from experiments.data.documents import (
    FORMAT,
    Fingerprint,
    Reading,
    Rule,
    Tally,
    Usable,
    split_of,
    usable_documents,
)
from experiments.data.sources import SEPARATOR, documents
from experiments.data.store import TokenWriter, stored_bytes, token_dtype
from experiments.data.tokenizer import Tokenizer, build_tokenizer, digest, store_tokenizer
from scaling.common.errors import UserError

ENCODE_BYTES = 2**20  # documents are tokenized in groups of about this size
REPORT_SECONDS = 3.0

Progress = Callable[[str], None]


def read_usable(
    config: CorpusConfig, tally: Tally, progress: Progress, purpose: str
) -> Iterator[Usable]:
    """The usable documents of a corpus; ``progress`` gets a line every few seconds."""
    done, reported = 0, time.monotonic()
    for document in usable_documents(documents(config), tally, _rule(config)):
        yield document
        done += len(document.content)
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            progress(f"corpus: {done / 1e6:,.1f} MB of text read ({purpose})")


def _rule(config: CorpusConfig) -> Rule:
    """The rule of a corpus; a filter reads the whole text once for its least score."""
    score = filters.score_of(config.filter) if config.filter else None
    elsewhere = frozenset(
        document.digest
        for other in left_out(config)
        for document in usable_documents(documents(other), Tally())
    )
    rule = Rule(config.duplicates == "keep", elsewhere)
    if score is None:
        return rule
    scores = [score(each.content) for each in usable_documents(documents(config), Tally(), rule)]
    return replace(rule, score=score, least=float(np.quantile(scores or [0.0], 1 - config.keep)))


@dataclass(frozen=True)
class Built:
    """The text that was read, and the tokens that were written."""

    reading: Reading
    tokenizer: Tokenizer
    config: CorpusConfig
    train: SplitFacts
    valid: SplitFacts


def build_corpus(
    config: CorpusConfig, folder: Path, given: Tokenizer | None, progress: Progress
) -> Built:
    """Read the source; write tokens and tokenizer into an empty folder.

    Without a given tokenizer the corpus has its own.

    Raises:
        UserError: nothing to train on, or a split without a document.
    """
    train = _train_contents(config, progress)
    tokenizer = given or build_tokenizer(config, train)
    store_tokenizer(tokenizer, folder)
    sides: dict[Split, _SplitBuilder] = {
        "train": _SplitBuilder(folder / "train", tokenizer),
        "valid": _SplitBuilder(folder / "valid", tokenizer),
    }
    tally, fingerprint = Tally(), Fingerprint(config)
    for document in read_usable(config, tally, progress, "tokenizing"):
        fingerprint.add(document.digest)
        sides[split_of(document.digest, config.valid_fraction)].add(document.content)
    tally.check(config)
    for name, side in sides.items():
        if not side.documents:
            raise UserError(_empty_split(name, tally.documents, config))
    reading = Reading(fingerprint.text(), tally)
    return Built(reading, tokenizer, config, sides["train"].close(), sides["valid"].close())


def write_manifest(built: Built, folder: Path, name: str) -> None:
    """Write the manifest of the corpus of this name."""
    tokenizer = built.tokenizer
    manifest = Manifest(
        format=FORMAT,
        fingerprint=name,
        tokenizer=built.config.tokenizer,
        tokenizer_sha256=digest(tokenizer.content),
        vocab_size=tokenizer.vocab_size,
        vocab_used=tokenizer.vocab_used,
        dtype=token_dtype(tokenizer.vocab_size).name,
        valid_fraction=built.config.valid_fraction,
        train=built.train,
        valid=built.valid,
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def _empty_split(name: Split, documents: int, config: CorpusConfig) -> str:
    kept = f", that data.filter={config.filter} kept," if config.filter else ""
    return (
        f"data.valid_fraction={config.valid_fraction}: of {documents} document(s){kept} none fell "
        f"in the {name} split, which goes by whole documents; give more (split -C 64k cuts a large "
        "text) or change data.valid_fraction"
    )


class _SplitBuilder:
    """Documents in, one array of tokens out."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self.documents = 0
        self._path = path
        self._tokenizer = tokenizer
        self._writer = TokenWriter(path, tokenizer.vocab_size)
        self._separator = np.array([tokenizer.separator], np.uint32)
        self._bytes = 0
        self._group: list[bytes] = []
        self._group_bytes = 0

    def add(self, content: bytes) -> None:
        self._group.append(content)
        self._group_bytes += len(content)
        self.documents += 1
        self._bytes += len(self._tokenizer.canonical(content)) + len(SEPARATOR)
        if self._group_bytes >= ENCODE_BYTES:
            self._encode()

    def close(self) -> SplitFacts:
        self._encode()
        digest = self._writer.close()
        return SplitFacts(
            documents=self.documents,
            bytes=self._bytes,
            tokens=self._writer.tokens,
            sha256=digest,
            stored_bytes=stored_bytes(self._path),
        )

    def _encode(self) -> None:
        for tokens in self._tokenizer.encode(self._group):
            self._writer.append([tokens, self._separator])
        self._group, self._group_bytes = [], 0


def _train_contents(config: CorpusConfig, progress: Progress) -> Iterator[bytes]:
    for document in read_usable(config, Tally(), progress, "learning the tokenizer"):
        if split_of(document.digest, config.valid_fraction) == "train":
            yield document.content
