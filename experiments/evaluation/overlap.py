"""Items that stand in the training text: the last bytes of a prompt and its answer, found whole.

An item counts where the last `LETTERS` bytes of its prompt and right choice, or all of a shorter
one, stand in the text of any corpus that the run draws from (50 characters: OpenAI 2023,
arXiv 2303.08774). Planted copies are always found; formulas that a generator repeats are found too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from experiments.data import Mixture
from experiments.evaluation.items import Item

LETTERS = 50
CHUNK = 2**24  # tokens read at once


def overlapping(items: Iterable[Item], mixture: Mixture) -> tuple[str, ...]:
    """The names of the items that the training text holds."""
    keys = {item.name: (item.prompt + item.choices[item.answer]).encode()[-LETTERS:]
            for item in items}  # fmt: skip
    found: set[str] = set()
    for text in _texts(mixture):
        found |= {name for name, key in keys.items() if name not in found and key in text}
    return tuple(name for name in keys if name in found)


def _texts(mixture: Mixture) -> Iterator[bytes]:
    """The training text of each corpus, in parts that overlap."""
    for corpus in mixture.texts.values():
        store = corpus.train
        for start in range(0, store.tokens, CHUNK):
            length = min(CHUNK + LETTERS, store.tokens - start)
            (tokens,) = store.windows(np.array([start], np.int64), length)
            yield corpus.tokenizer.decode(tokens)
