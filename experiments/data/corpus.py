"""A stored corpus: its manifest, its tokens, and the checks on opening it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config.data import CorpusConfig, Split, TokenizerName
from experiments.data.documents import FORMAT, Tally
from experiments.data.store import (
    DiskTokens,
    MemoryTokens,
    TokenStore,
    read_all,
    stored_bytes,
    token_dtype,
)
from experiments.data.tokenizer import Tokenizer, digest, load_tokenizer, stored_content
from scaling.common.errors import UserError
from scaling.common.files import read_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SplitFacts:
    """One side of the split. ``bytes`` are those of the tokens, separators included."""

    documents: int
    bytes: int
    tokens: int
    sha256: str  # of the tokens as little-endian integers
    stored_bytes: int  # of the array's files


@dataclass(frozen=True)
class Manifest:
    """Identity, rules and counts of stored tokens."""

    format: int
    fingerprint: str
    tokenizer: TokenizerName
    tokenizer_sha256: str
    vocab_size: int
    vocab_used: int
    dtype: str
    valid_fraction: float
    train: SplitFacts
    valid: SplitFacts


@dataclass(frozen=True)
class Corpus:
    """A corpus: the text as it was found, and its tokens, ready for reading."""

    config: CorpusConfig
    tally: Tally
    manifest: Manifest
    tokenizer: Tokenizer
    train: TokenStore
    valid: TokenStore

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def vocab_size(self) -> int:
        return self.manifest.vocab_size

    def facts(self, split: Split) -> SplitFacts:
        return self.manifest.train if split == "train" else self.manifest.valid

    def bytes_per_token(self, split: Split) -> float:
        """Mean bytes per token: nats/byte = nats/token / bytes_per_token."""
        return self.facts(split).bytes / self.facts(split).tokens

    def card(self) -> dict[str, Any]:
        """The facts for a study's record, as flat JSON."""
        m = self.manifest
        sides = {
            f"{name}_{fact}": getattr(facts, fact)
            for name, facts in (("train", m.train), ("valid", m.valid))
            for fact in ("documents", "bytes", "tokens")
        }
        return {
            "source": self.config.source,
            "path": self.config.path,
            "fingerprint": m.fingerprint,
            "tokenizer": m.tokenizer,
            "vocab_size": m.vocab_size,
            "valid_fraction": m.valid_fraction,
            "bytes_per_token": self.bytes_per_token("valid"),
            "documents": self.tally.documents,
            "notes": self.tally.lines(),
            **sides,
        }

    def describe(self) -> str:
        """The identity and the size; then a line for each reason of documents left out or odd."""
        m = self.manifest
        head = (
            f"corpus {m.fingerprint} ({self.config.source}, {m.tokenizer}): "
            f"{self.tally.documents:,} documents, "
            f"{m.train.tokens:,} training and {m.valid.tokens:,} validation tokens"
        )
        return "\n  ".join([head, *self.tally.lines()])


class DamagedCorpusError(Exception):
    """A stored corpus that is not whole; it is built again."""


def load_corpus(folder: Path, config: CorpusConfig, tally: Tally, memory_limit: int) -> Corpus:
    """Open a stored corpus of this text; splits of up to ``memory_limit`` bytes go into memory.

    Raises:
        DamagedCorpusError: it is not whole, by the digest of tokens in memory, or the size of
            files on disk.
    """
    manifest = _read_manifest(folder)
    try:
        content = stored_content(manifest.tokenizer, folder)
        if digest(content) != manifest.tokenizer_sha256:
            raise DamagedCorpusError("its tokenizer is not the one that was stored")
        return Corpus(
            config=config,
            tally=tally,
            manifest=manifest,
            tokenizer=load_tokenizer(manifest.tokenizer, manifest.vocab_size, content),
            train=_open_split(folder / "train", manifest.train, manifest, memory_limit),
            valid=_open_split(folder / "valid", manifest.valid, manifest, memory_limit),
        )
    except OSError as error:
        raise DamagedCorpusError(f"cannot read it ({error.strerror})") from error


def _read_manifest(folder: Path) -> Manifest:
    try:
        manifest = read_json(folder / MANIFEST, Manifest)
    except UserError as error:
        raise DamagedCorpusError(f"no readable {MANIFEST}") from error
    if manifest.format != FORMAT or manifest.fingerprint != folder.name:
        raise DamagedCorpusError(f"{MANIFEST} is of another corpus")
    return manifest


def _open_split(path: Path, facts: SplitFacts, manifest: Manifest, memory_limit: int) -> TokenStore:
    found = stored_bytes(path)
    if found != facts.stored_bytes:
        raise DamagedCorpusError(f"{path.name} has {found} bytes on disk, not {facts.stored_bytes}")
    if facts.tokens * token_dtype(manifest.vocab_size).itemsize > memory_limit:
        return DiskTokens(path, facts.tokens)
    tokens = read_all(path)
    if hashlib.sha256(tokens.data).hexdigest() != facts.sha256:
        raise DamagedCorpusError(f"the tokens of {path.name} are not those that were stored")
    return MemoryTokens(tokens)
