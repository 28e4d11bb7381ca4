"""Shares of an evaluation's items that are copies of training text, or copied into it.

overlap.py tells which items of a run's tasks stand in its text, by their last bytes as they are.
Here any part of an item counts, and neither case nor punctuation does.

Two measures, each the share of an item's windows that some training document holds:

    words        windows of `words` words in a row, without case or punctuation
    characters   windows of `characters` letters and digits in a row, without case

Windows are compared by 64-bit hashes: among 10^9 windows of training text, 10^5 of items find one
by chance with probability 10^-5. An item shorter than a window has no share by that measure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.sources import Document

WORDS, CHARACTERS = 13, 50
BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial; any odd number
UNKNOWN = np.uint64(1)  # the id of every word that no item has

Ids = NDArray[np.uint64]


@dataclass(frozen=True)
class ItemOverlap:
    """The shares of one item that are in training text; NaN where it is shorter than a window."""

    name: str
    words: float
    characters: float

    @property
    def most(self) -> float:
        """The larger share; 0 for an item that is too short for both."""
        return max((share for share in (self.words, self.characters) if share >= 0), default=0.0)


def overlaps(
    items: Sequence[Document],
    training: Iterable[bytes],
    words: int = WORDS,
    characters: int = CHARACTERS,
) -> tuple[ItemOverlap, ...]:
    """The shares of each item that the training documents hold; these are read once."""
    texts = [_text(item.content) for item in items]
    vocabulary = _Vocabulary(word for text in texts for word in _words(text))
    measures = [
        _Windows(texts, vocabulary.ids, words),
        _Windows(texts, _letters, characters),
    ]
    for content in training:
        text = _text(content)
        for measure in measures:
            measure.look(text)
    shares = zip(*(measure.shares() for measure in measures), strict=True)
    return tuple(ItemOverlap(item.name, *each) for item, each in zip(items, shares, strict=True))


class _Windows:
    """The windows of all items, and which of them were found."""

    def __init__(self, texts: Sequence[str], ids: Callable[[str], Ids], length: int) -> None:
        self._ids, self._length = ids, length
        self._of_item = [window_hashes(ids(text), length) for text in texts]
        self._known = np.unique(np.concatenate([np.empty(0, np.uint64), *self._of_item]))
        self._found = np.zeros(len(self._known), bool)

    def look(self, text: str) -> None:
        """Mark the windows that a training text holds."""
        hashes = window_hashes(self._ids(text), self._length)
        if len(hashes) and len(self._known):
            places = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
            self._found[places[self._known[places] == hashes]] = True

    def shares(self) -> list[float]:
        places = (np.searchsorted(self._known, own) for own in self._of_item)
        return [float(self._found[own].mean()) if len(own) else float("nan") for own in places]


class _Vocabulary:
    """A random number for each word of the items."""

    def __init__(self, words: Iterable[str]) -> None:
        self._ids = _Numbers((word, _number(word)) for word in set(words))

    def ids(self, text: str) -> Ids:
        return np.fromiter(map(self._ids.__getitem__, _words(text)), np.uint64)


class _Numbers(dict[str, np.uint64]):
    def __missing__(self, word: str) -> np.uint64:
        return UNKNOWN


def window_hashes(ids: Ids, length: int) -> Ids:
    """h_i = sum_j ids_{i+j} BASE^(length-1-j) mod 2^64, of every window; by doubling."""
    if len(ids) < length:
        return np.empty(0, np.uint64)
    found: Any = None
    done, size, block, power = 0, 1, ids, BASE
    with np.errstate(over="ignore"):
        while True:
            if length & size:
                rest = block[done:]
                found = rest if found is None else found[: len(rest)] * power + rest
                done += size
            if done == length:
                return np.asarray(found)
            block = block[:-size] * power + block[size:]
            power, size = power * power, 2 * size


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace").lower()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _letters(text: str) -> Ids:
    return _LETTERS[np.frombuffer(re.sub(r"\W+", "", text).encode(), np.uint8)]


def _number(word: str) -> np.uint64:
    digest = hashlib.blake2b(word.encode("utf-8", errors="replace"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little") | 2)  # never UNKNOWN


_LETTERS: Ids = np.array([_number(f"byte {k}") for k in range(256)], np.uint64)
