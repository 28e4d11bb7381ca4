"""Share of the bytes that are letters of words of two letters or more."""

import re

WORDS = re.compile(rb"[A-Za-z]+")


def score(content: bytes) -> float:
    return sum(len(word) for word in WORDS.findall(content) if len(word) > 1) / len(content)
