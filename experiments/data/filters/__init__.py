"""Scores of documents: a plug-in folder, one file for each; `data.filter` keeps the best by one.

A filter file defines ``score(content) -> float``, a function of the content alone; higher is
better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from scaling.common import plugins


def score_of(name: str) -> Callable[[bytes], float]:
    """The score that a corpus names. Raises a UserError for an unknown one."""
    score: Callable[[bytes], float] = plugins.find(__name__, name, "data.filter", "score")
    return score


def digest(name: str) -> str:
    """SHA-256 of a filter's file: an edited filter may keep other documents."""
    file = plugins.load(__name__, name, "data.filter").__file__
    assert file is not None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
