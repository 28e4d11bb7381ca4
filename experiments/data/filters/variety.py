"""Compressed bytes per byte (zlib): low for text that repeats itself."""

import zlib


def score(content: bytes) -> float:
    return len(zlib.compress(content)) / len(content)
