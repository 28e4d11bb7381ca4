"""Documents to a stored corpus: tokenize, split, write, describe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from experiments.config.data import CorpusConfig, Split, left_out
from experiments.data.corpus import MANIFEST, Manifest, SplitFacts
from experiments.data.documents import (
    FORMAT,
    Fingerprint,
    Rule,
    Tally,
    Usable,
    split_of,
    usable_documents,
)
from experiments.data.sources import SEPARATOR, documents
from experiments.data.sources._quality import SCORES
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
    elsewhere = frozenset(
        document.digest
        for other in left_out(config)
        for document in usable_documents(documents(other), Tally())
    )
    rule = Rule(config.duplicates == "keep", elsewhere)
    if not config.filter:
        return rule
    score = SCORES[config.filter]
    scores = [score(each.content) for each in usable_documents(documents(config), Tally(), rule)]
    return replace(rule, score=score, least=float(np.quantile(scores or [0.0], 1 - config.keep)))


def build_corpus(
    config: CorpusConfig, folder: Path, given: Tokenizer | None, progress: Progress
) -> str:
    """Read the source; write tokens, tokenizer and manifest into an empty folder.

    Without a given tokenizer the corpus has its own. The manifest is of the corpus named as the
    folder; the fingerprint of the text comes back.
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
    for name, side in sides.items():
        if not side.documents:
            raise UserError(_empty_split(name, tally.documents, config))
    manifest = Manifest(
        format=FORMAT,
        fingerprint=folder.name,
        tokenizer=config.tokenizer,
        tokenizer_sha256=digest(tokenizer.content),
        vocab_size=tokenizer.vocab_size,
        vocab_used=tokenizer.vocab_used,
        dtype=token_dtype(tokenizer.vocab_size).name,
        valid_fraction=config.valid_fraction,
        train=sides["train"].close(),
        valid=sides["valid"].close(),
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    return fingerprint.text()


def _empty_split(name: Split, documents: int, config: CorpusConfig) -> str:
    return (
        f"data.valid_fraction={config.valid_fraction}: of {documents} document(s) none fell in the "
        f"{name} split, which goes by whole documents; give more (split -C 64k cuts a large text) "
        "or change data.valid_fraction"
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
