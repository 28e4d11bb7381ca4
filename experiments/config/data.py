"""Data of a run, part of its science: the corpora, and their mixture."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import inf
from typing import Literal, get_args

from scaling.common.errors import UserError, nearest

TokenizerName = Literal["bytes", "bpe", "file"]
Split = Literal["train", "valid"]

BYTE_VALUES = 256
JOINED = "+"  # between the fingerprints of several corpora


@dataclass(frozen=True)
class CorpusConfig:
    """One corpus: all that must be prepared before a run, once for a whole study."""

    source: str = "stdlib"  # a file of experiments/data/sources
    path: str = ""  # files: file, folder or glob; huggingface: name or name:subset
    field: str = "text"  # the key or column that holds the text of a JSONL, Parquet or hub row
    # one token a byte, byte pairs trained on the corpus, or those of tokenizer_file
    tokenizer: TokenizerName = "bytes"
    tokenizer_file: str = ""  # a path or URL of a tokenizer.json, of byte-level pairs
    # bytes: 256; bpe: the size to train, and a bound of it; file: its size or more [tokens]
    vocab_size: int = BYTE_VALUES
    valid_fraction: float = 0.05  # expected share held out for validation [of the documents]
    # exact duplicates: dropped within each corpus, kept, or dropped from each corpus that comes
    # after another with the same document too
    duplicates: Literal["within", "keep", "across"] = "within"
    filter: str = ""  # a file of experiments/data/filters, by whose score the best are kept
    keep: float = 1.0  # by the filter [of the documents]
    # sources whose documents are left out, each source:path
    without: tuple[str, ...] = ()
    fingerprint: str = ""  # identity of text, split and tokenizer; empty takes any text


@dataclass(frozen=True)
class DataConfig(CorpusConfig):
    """The corpora of a run, and how it draws from them."""

    epochs: int = 1  # times that a token of any corpus may be a training target, at most
    # several corpora, each name=source:path or source:path, instead of `source` and `path`; they
    # share all other settings, and their fingerprints are joined by "+"
    corpora: tuple[str, ...] = ()
    # of each of the corpora, the sum is 1; with stages, those of each stage in turn. A corpus of
    # weight 0 is validated on, and not drawn from [of the windows]
    weights: tuple[float, ...] = ()
    stages: tuple[int, ...] = ()  # where each stage after the first begins [tokens]
    # most of each corpus that may be drawn, 0: all of it; corpora of one text draw disjoint parts
    # [tokens]
    unique_tokens: tuple[int, ...] = ()
    repeats: tuple[int, ...] = ()  # `epochs` of each of the corpora, instead of one for all


@dataclass(frozen=True)
class Part:
    """One corpus of a mixture, and the limits of drawing from it."""

    name: str  # empty where none was given
    corpus: CorpusConfig
    unique_tokens: int  # at most; 0: all
    repeats: int  # at most


# Fields that choose the text. A known fingerprint replaces them in the identity of a run.
PLACES = (
    *("data.path", "data.corpora", "data.field", "data.tokenizer_file"),
    *("data.duplicates", "data.filter", "data.keep", "data.without"),
)


def parts(data: DataConfig) -> tuple[Part, ...]:
    """The corpora of a run with their limits, in the order of their weights.

    Raises:
        UserError: a combination that no corpora can satisfy.
    """
    _check_mixture(data)
    count = max(1, len(data.corpora))
    shared = {entry.name: getattr(data, entry.name) for entry in fields(CorpusConfig)}
    one = CorpusConfig(**shared)
    prints = data.fingerprint.split(JOINED) if data.fingerprint else [""] * count
    if data.corpora and len(prints) != count:
        raise UserError(
            f"data.fingerprint={data.fingerprint}: {len(prints)} for {count} corpora; "
            "restore it, or clear it"
        )
    limits = zip(data.unique_tokens or (0,) * count, data.repeats or (data.epochs,) * count,
                 strict=True)  # fmt: skip
    if not data.corpora:
        return tuple(Part("", one, *each) for each in limits)
    named = list(map(_named, data.corpora))
    across = data.duplicates == "across"
    found = []
    for k, ((name, source, path), mark, each) in enumerate(zip(named, prints, limits, strict=True)):
        earlier = tuple(f"{source}:{path}" for _, source, path in named[:k]) if across else ()
        own = replace(
            one, source=source, path=path, fingerprint=mark, without=(*data.without, *earlier)
        )
        found.append(Part(name, own, *each))
    return tuple(found)


def source_names(data: DataConfig) -> tuple[str, ...]:
    """The name of each of the corpora, or its entry where it has none."""
    return tuple(_named(text)[0] or text for text in data.corpora)


def left_out(config: CorpusConfig) -> list[CorpusConfig]:
    """The sources whose documents a corpus leaves out."""
    named = map(_named, config.without)
    return [CorpusConfig(source, path, config.field) for _, source, path in named]


def _named(text: str) -> tuple[str, str, str]:
    """The name, source and path of an entry of data.corpora."""
    head, _, path = text.partition(":")
    name, _, source = head.rpartition("=")
    return name, source, path


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
    if not 0 < config.keep <= 1 or (config.keep < 1) != bool(config.filter):
        raise UserError(
            f"data.filter={config.filter} data.keep={config.keep:g}: a filter keeps a share above "
            "0 and below 1; set both, or neither"
        )
    if config.tokenizer == "bytes" and config.vocab_size != BYTE_VALUES:
        raise UserError(
            f"data.vocab_size={config.vocab_size}: data.tokenizer=bytes has exactly "
            f"{BYTE_VALUES}; leave it, or set data.tokenizer=bpe"
        )
    if bool(config.tokenizer_file) != (config.tokenizer == "file"):
        raise UserError(
            f"data.tokenizer={config.tokenizer} data.tokenizer_file={config.tokenizer_file}: a "
            "file goes with data.tokenizer=file; set both, or neither"
        )
    if config.tokenizer == "bpe" and not BYTE_VALUES < config.vocab_size <= 2**31:
        raise UserError(
            f"data.vocab_size={config.vocab_size}: data.tokenizer=bpe starts from the "
            f"{BYTE_VALUES} byte values and needs more, such as data.vocab_size=4096"
        )


def _check_mixture(data: DataConfig) -> None:
    if data.epochs < 1:
        raise UserError(f"data.epochs={data.epochs}: must be 1 or more")
    _check_stages(data)
    _check_limits(data)
    if not data.corpora:
        return
    if data.source != CorpusConfig.source or data.path:
        raise UserError(
            f"data.source={data.source} data.path={data.path}: data.corpora replaces them; "
            "leave them out"
        )
    listed = ",".join(data.corpora)
    names = source_names(data)
    if len(set(names)) < len(names):
        raise UserError(
            f"data.corpora={listed}: one stands twice; drop it, or name the two: a=stdlib,b=stdlib"
        )
    if JOINED in "".join(names) or not all(_named(text)[1] for text in data.corpora):
        raise UserError(f"data.corpora={listed}: write each as name=source:path, without '+'")
    if len(data.corpora) > 1 and data.tokenizer == "bpe":
        raise UserError(
            "data.tokenizer=bpe: it is trained on one corpus, so ids would differ between "
            "data.corpora; set data.tokenizer=bytes, or file and data.tokenizer_file"
        )


def _check_stages(data: DataConfig) -> None:
    """Check that the stages follow each other, and that each has one weight of each corpus."""
    listed = ",".join(map(str, data.stages))
    if any(a >= b for a, b in pairwise((0, *data.stages))):
        raise UserError(
            f"data.stages={listed}: stages overlap; each begins later than the one before it, and "
            "the first of these later than 0"
        )
    count, stages = len(data.corpora), len(data.stages) + 1
    weights = ",".join(f"{weight:g}" for weight in data.weights)
    if len(data.weights) != count * stages:
        each = "each" if stages == 1 else f"each of them in each of {stages} stages"
        raise UserError(
            f"data.weights={weights}: {len(data.weights)} for the {count} of data.corpora; "
            f"give one for {each}"
        )
    for i in range(0, len(data.weights), max(1, count)):
        stage = data.weights[i : i + count]
        if not all(0 <= weight < inf for weight in stage) or abs(sum(stage) - 1) > 1e-6:
            raise UserError(
                f"data.weights={weights}: must not be negative and add up to 1, such as 0.75,0.25"
            )


def _check_limits(data: DataConfig) -> None:
    """Check that limits are given of every corpus or of none."""
    count = max(1, len(data.corpora))
    for name, values, least in (
        ("unique_tokens", data.unique_tokens, 0),
        ("repeats", data.repeats, 1),
    ):
        listed = f"data.{name}={','.join(map(str, values))}"
        if values and len(values) != count:
            raise UserError(f"{listed}: {len(values)} for {count} corpora; give one for each")
        if any(value < least for value in values):
            raise UserError(f"{listed}: each must be {least} or more")
