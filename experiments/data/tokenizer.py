"""Bytes to token ids and back, exactly: ``decode(encode(x)) == canonical(x)``.

One separator token, the byte 0, follows every document. Text never holds it: a file with a 0 counts
as binary. Both tokenizers have it without a special token. It counts as one byte, so that

    bytes_per_token = (bytes of the documents + one per document) / tokens

counts exactly the bytes of the stored tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.config.data import BYTE_VALUES, CorpusConfig, TokenizerName
from experiments.data.sources import SEPARATOR
from experiments.data.sources._files import tokenizer_content
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

FILE = "tokenizer.json"

Tokens = NDArray[Any]  # of any unsigned integer type


class Tokenizer(Protocol):
    @property
    def content(self) -> bytes:
        """Its file, in the JSON of the package tokenizers; empty for bytes, which need none."""

    @property
    def vocab_size(self) -> int:
        """Exclusive upper bound of the ids, the size of the embedding."""

    @property
    def vocab_used(self) -> int:
        """Number of ids; below ``vocab_size`` if the text was too small to train them all."""

    @property
    def separator(self) -> int:
        """The id that ends each document."""

    def canonical(self, content: bytes) -> bytes:
        """The bytes of this content after encoding and decoding."""

    def encode(self, contents: Sequence[bytes]) -> list[Tokens]:
        """The ids of each content, without separators."""

    def decode(self, tokens: Tokens) -> bytes:
        """The bytes of these ids."""


class ByteTokenizer:
    """Each byte is its own id."""

    content = b""
    vocab_size = BYTE_VALUES
    vocab_used = BYTE_VALUES
    separator = SEPARATOR[0]

    def canonical(self, content: bytes) -> bytes:
        return content

    def encode(self, contents: Sequence[bytes]) -> list[Tokens]:
        return [np.frombuffer(content, np.uint8) for content in contents]

    def decode(self, tokens: Tokens) -> bytes:
        return np.asarray(tokens).astype(np.uint8).tobytes()


class BpeTokenizer:
    """Byte-level byte-pair encoding: every byte has an id, so there is no unknown token.

    Merges work on text: U+FFFD replaces bytes that are not UTF-8.

    Raises:
        ValueError: the content is of no tokenizer.
    """

    def __init__(self, content: bytes, vocab_size: int) -> None:
        tokenizers = import_extra("tokenizers", "text", "data.tokenizer=bpe")
        self.content = content
        self._inner = tokenizers.Tokenizer.from_buffer(content)
        self._pieces = _piece_bytes(self._inner)
        self.vocab_size = vocab_size
        self.vocab_used = len(self._pieces)
        self.separator = self._pieces.index(SEPARATOR)

    def canonical(self, content: bytes) -> bytes:
        return content.decode("utf-8", errors="replace").encode("utf-8")

    def encode(self, contents: Sequence[bytes]) -> list[Tokens]:
        texts = [content.decode("utf-8", errors="replace") for content in contents]
        found = self._inner.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(e.ids, np.uint32) for e in found]

    def decode(self, tokens: Tokens) -> bytes:
        return b"".join(self._pieces[token] for token in np.asarray(tokens).tolist())


def train_bpe(contents: Iterable[bytes], vocab_size: int) -> BpeTokenizer:
    """Merges learned from these documents; the same documents give the same merges."""
    tokenizers = import_extra("tokenizers", "text", "data.tokenizer=bpe")
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = split
    inner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=split.alphabet(),
        show_progress=False,
    )
    texts = (content.decode("utf-8", errors="replace") for content in contents)
    inner.train_from_iterator(texts, trainer=trainer)
    return BpeTokenizer(inner.to_str().encode("utf-8"), vocab_size)


def build_tokenizer(config: CorpusConfig, train: Iterable[bytes]) -> Tokenizer:
    """The tokenizer of a new corpus; a BPE learns from ``train``, unless a file has it.

    Raises:
        UserError: the file is not of byte-level pairs, or larger than data.vocab_size.
    """
    if config.tokenizer == "bytes":
        return ByteTokenizer()
    if config.tokenizer == "bpe":
        return train_bpe(train, config.vocab_size)
    said = f"data.tokenizer_file={config.tokenizer_file}"
    try:
        found = BpeTokenizer(tokenizer_content(config), config.vocab_size)
    except ValueError as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{said}: no tokenizer of byte-level pairs ({why})") from error
    if found.vocab_used > config.vocab_size:
        raise UserError(
            f"data.vocab_size={config.vocab_size}: {said} has {found.vocab_used}; set "
            f"data.vocab_size={found.vocab_used} and model.vocab_size={found.vocab_used}"
        )
    return found


def store_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write its file; bytes have none."""
    if tokenizer.content:
        (folder / FILE).write_bytes(tokenizer.content)


def load_tokenizer(name: TokenizerName, vocab_size: int, content: bytes) -> Tokenizer:
    """The tokenizer of this name and content. Raises a ValueError as `BpeTokenizer`."""
    return ByteTokenizer() if name == "bytes" else BpeTokenizer(content, vocab_size)


def stored_content(name: TokenizerName, folder: Path) -> bytes:
    """The content of a stored tokenizer; empty for bytes. Raises an OSError."""
    return b"" if name == "bytes" else (folder / FILE).read_bytes()


def digest(content: bytes) -> str:
    """SHA-256 of a tokenizer's content; empty for bytes."""
    return hashlib.sha256(content).hexdigest() if content else ""


def _piece_bytes(inner: Any) -> list[bytes]:
    """The bytes of each id. Byte-level vocabularies spell bytes as printable characters.

    Raises:
        ValueError: a piece holds another character, or an id has no piece.
    """
    spelled = byte_letters()
    by_id = sorted(inner.get_vocab().items(), key=lambda item: item[1])
    if [number for _, number in by_id] != list(range(len(by_id))):
        raise ValueError("ids without a piece")
    try:
        return [bytes(spelled[letter] for letter in piece) for piece, _ in by_id]
    except KeyError as error:
        raise ValueError(f"a piece holds {error}, which stands for no byte") from error


def byte_letters() -> dict[str, int]:
    """Letter -> byte: printable Latin-1 bytes are themselves, the rest follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(BYTE_VALUES) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(BYTE_VALUES + i): byte for i, byte in enumerate(hidden)}
