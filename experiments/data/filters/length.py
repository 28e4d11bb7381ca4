"""Bytes: long documents are kept."""


def score(content: bytes) -> float:
    return float(len(content))
