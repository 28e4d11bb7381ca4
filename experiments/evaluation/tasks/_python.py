"""Lines of the standard library's held-out files, for items about Python.

A file is held out where `experiments.data.documents` puts it in validation at the default share, so
no run that trains on the embedded corpus with that share or more has seen it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from random import Random

from experiments.config.data import CorpusConfig
from experiments.data.documents import split_of
from experiments.data.sources import Document, documents

COUNT, BEFORE = 256, 3  # items, and lines of the prompt


@cache
def held_out() -> tuple[str, ...]:
    """The texts of the held-out files, in the order of their paths."""
    config, found = CorpusConfig(), []
    for each in documents(config):
        if isinstance(each, Document):
            digest = hashlib.sha256(each.content).digest()
            if split_of(digest, config.valid_fraction) == "valid":
                found.append(each.content.decode("utf-8", errors="replace"))
    return tuple(found)


def places(name: str) -> Iterator[tuple[str, str, Random]]:
    """A few lines, the line after them, and random numbers, in a fixed random order."""
    every = [
        ("".join(lines[k - BEFORE : k]), lines[k])
        for text in held_out()
        for lines in [text.splitlines(keepends=True)]
        for k in range(BEFORE, len(lines))
    ]
    order = list(range(len(every)))
    Random(f"items/{name}").shuffle(order)
    for k in order:
        yield (*every[k], Random(f"items/{name}/{k}"))
