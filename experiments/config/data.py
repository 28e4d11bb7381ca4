"""Data of a run, part of its science: the corpora, and their mixture."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from scaling.common.errors import UserError, nearest

TokenizerName = Literal["bytes", "bpe"]
Split = Literal["train", "valid"]

BYTE_VALUES = 256
JOINED = "+"  # between the fingerprints of several corpora


@dataclass(frozen=True)
class CorpusConfig:
    """One corpus: all that must be prepared before a run, once for a whole study."""

    source: str = "stdlib"  # a file of experiments/data/sources
    path: str = ""  # files: file, folder or glob; huggingface: name or name:subset
    field: str = "text"  # the key or column that holds the text of a JSONL, Parquet or hub row
    tokenizer: TokenizerName = "bytes"  # one token a byte, or byte pairs trained on the corpus
    vocab_size: int = BYTE_VALUES  # bytes: 256; bpe: the size to train, and a bound of it [tokens]
    valid_fraction: float = 0.05  # expected share held out for validation [of the documents]
    fingerprint: str = ""  # identity of text, split and tokenizer; empty takes any text


@dataclass(frozen=True)
class DataConfig(CorpusConfig):
    """The corpora of a run, and how it draws from them."""

    epochs: int = 1  # times that a token of any corpus may be a training target, at most
    # several corpora, each source:path, instead of `source` and `path`; they share all other
    # settings, and their fingerprints are joined by "+"
    corpora: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()  # of each of the corpora; the sum is 1 [of the windows]


# Fields of the text's place. A known fingerprint replaces them in the identity of a run.
PLACES = ("data.path", "data.corpora", "data.field")


def corpus_configs(data: DataConfig) -> tuple[CorpusConfig, ...]:
    """The corpora of a run, in the order of their weights.

    Raises:
        UserError: a combination that no corpora can satisfy.
    """
    _check_mixture(data)
    shared = {entry.name: getattr(data, entry.name) for entry in fields(CorpusConfig)}
    one = CorpusConfig(**shared)
    if not data.corpora:
        return (one,)
    prints = data.fingerprint.split(JOINED) if data.fingerprint else [""] * len(data.corpora)
    if len(prints) != len(data.corpora):
        raise UserError(
            f"data.fingerprint={data.fingerprint}: {len(prints)} for {len(data.corpora)} corpora; "
            "restore it, or clear it"
        )
    named = [(text.partition(":"), mark) for text, mark in zip(data.corpora, prints, strict=True)]
    return tuple(
        replace(one, source=source, path=path, fingerprint=mark)
        for (source, _, path), mark in named
    )


def check_corpus(config: CorpusConfig) -> None:
    """Raise a UserError for an impossible corpus."""
    if config.tokenizer not in get_args(TokenizerName):
        hint = nearest(config.tokenizer, get_args(TokenizerName))
        raise UserError(f"data.tokenizer={config.tokenizer}: {hint}")
    if not 0 < config.valid_fraction < 1:
        raise UserError(
            f"data.valid_fraction={config.valid_fraction}: must be above 0 and below 1, "
            "such as 0.05; every run is validated on text that it has not seen"
        )
    if config.tokenizer == "bytes" and config.vocab_size != BYTE_VALUES:
        raise UserError(
            f"data.vocab_size={config.vocab_size}: data.tokenizer=bytes has exactly "
            f"{BYTE_VALUES}; leave it, or set data.tokenizer=bpe"
        )
    if config.tokenizer == "bpe" and not BYTE_VALUES < config.vocab_size <= 2**31:
        raise UserError(
            f"data.vocab_size={config.vocab_size}: data.tokenizer=bpe starts from the "
            f"{BYTE_VALUES} byte values and needs more, such as data.vocab_size=4096"
        )


def _check_mixture(data: DataConfig) -> None:
    if data.epochs < 1:
        raise UserError(f"data.epochs={data.epochs}: must be 1 or more")
    weights = ",".join(f"{weight:g}" for weight in data.weights)
    if len(data.weights) != len(data.corpora):
        raise UserError(
            f"data.weights={weights}: {len(data.weights)} for the {len(data.corpora)} of "
            "data.corpora; give one for each"
        )
    if not data.corpora:
        return
    if data.source != CorpusConfig.source or data.path:
        raise UserError(
            f"data.source={data.source} data.path={data.path}: data.corpora replaces them; "
            "leave them out"
        )
    if len(set(data.corpora)) < len(data.corpora):
        raise UserError(f"data.corpora={','.join(data.corpora)}: one stands twice; drop it")
    if not all(weight > 0 for weight in data.weights) or abs(sum(data.weights) - 1) > 1e-6:
        raise UserError(
            f"data.weights={weights}: must be positive and add up to 1, such as 0.75,0.25"
        )
    if len(data.corpora) > 1 and data.tokenizer == "bpe":
        raise UserError(
            "data.tokenizer=bpe: it is trained on one corpus, so ids would differ between "
            "data.corpora; set data.tokenizer=bytes"
        )
