"""Scores of documents, by which data.filter keeps the best; a new one is a function and its row.

A score is a function of the content alone; higher is better.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping

WORDS = re.compile(rb"[A-Za-z]+")


def words(content: bytes) -> float:
    """Share of the bytes that are letters of words of two letters or more."""
    return sum(len(word) for word in WORDS.findall(content) if len(word) > 1) / len(content)


def variety(content: bytes) -> float:
    """Compressed bytes per byte (zlib): low for text that repeats itself."""
    return len(zlib.compress(content)) / len(content)


def length(content: bytes) -> float:
    """Bytes."""
    return float(len(content))


SCORES: Mapping[str, Callable[[bytes], float]] = {
    "words": words,
    "variety": variety,
    "length": length,
}
