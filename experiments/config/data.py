"""What a run trains on: part of its science."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from scaling.common.errors import UserError, nearest

Source = Literal["stdlib", "files", "huggingface"]
TokenizerName = Literal["bytes", "bpe"]
Split = Literal["train", "valid"]

BYTE_VALUES = 256


@dataclass(frozen=True)
class DataConfig:
    """A corpus, its tokenizer, its split, and how often it may be read.

    ``source``          ``stdlib``: the source text of the running Python; ``files``: text, JSONL
                        and Parquet by folder or glob; ``huggingface``: a dataset's train split.
    ``path``            files: file, folder or glob; huggingface: ``name`` or ``name:subset``.
    ``field``           the key or column that holds the text of a JSONL, Parquet or hub row.
    ``vocab_size``      bytes: 256; bpe: the size to train, and an upper bound of it.
    ``valid_fraction``  expected share of the *documents* that is held out for validation.
    ``epochs``          how often a token may be a training target.
    ``fingerprint``     identity of the text, split and tokenizer; empty takes what is found.
    """

    source: Source = "stdlib"
    path: str = ""
    field: str = "text"
    tokenizer: TokenizerName = "bytes"
    vocab_size: int = BYTE_VALUES
    valid_fraction: float = 0.05
    epochs: int = 1
    fingerprint: str = ""


def check_config(config: DataConfig) -> None:
    """Raise a UserError for a combination that no corpus can satisfy."""
    for field, value, kind in (
        ("source", config.source, Source),
        ("tokenizer", config.tokenizer, TokenizerName),
    ):
        if value not in get_args(kind):
            raise UserError(f"data.{field}={value}: {nearest(value, get_args(kind))}")
    wants_path = config.source != "stdlib"
    if wants_path and not config.path:
        raise UserError(f"data.path is empty: data.source={config.source} needs one")
    if config.path and not wants_path:
        raise UserError(
            f"data.path={config.path}: data.source=stdlib takes no path; "
            "set data.source=files or data.source=huggingface"
        )
    if not 0 < config.valid_fraction < 1:
        raise UserError(
            f"data.valid_fraction={config.valid_fraction}: must be above 0 and below 1, "
            "such as 0.05; every run is judged on text that it has not seen"
        )
    if config.epochs < 1:
        raise UserError(f"data.epochs={config.epochs}: must be 1 or more")
    _check_vocabulary(config)


def _check_vocabulary(config: DataConfig) -> None:
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
