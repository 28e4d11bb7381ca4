"""Generators: documents drawn by rules, so that the surprise of each is known.

A generator is a frozen dataclass of numbers, its settings, and a function

    document(settings, k, random) -> (text, nats),    nats = -ln P(text)

The settings are written in data.path as people=1000&seed=1; those left out have their defaults.
The entropy of a corpus is the mean surprise per byte, with one byte for the separator of each
document. No model that is scored on fresh documents has a lower loss but by chance.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from experiments.config.data import CorpusConfig
from experiments.config.fields import field_types, from_text
from experiments.data.sources._source import SEPARATOR, Document, Source
from scaling.common.errors import UserError, nearest

S = TypeVar("S")
SAMPLE = 500  # documents that the entropy is a mean of


def settings(kind: Callable[..., S], path: str) -> S:
    """The settings that data.path gives.

    Raises:
        UserError: an unknown name, or a value that is no number of its kind.
    """
    known = field_types(kind)
    values: dict[str, Any] = {}
    for part in filter(None, path.split("&")):
        name, _, text = part.partition("=")
        if name not in known:
            raise UserError(f"data.path={path}: no setting '{name}'; {nearest(name, known)}")
        values[name] = from_text(f"data.path={path}: {name}", text, known[name])
        if not values[name] >= 0:
            raise UserError(f"data.path={path}: {name} must not be negative")
    return kind(**values)


def generator(
    kind: type[S], count: Callable[[S], int],
    document: Callable[[S, int, random.Random], tuple[str, float]],
) -> Source:  # fmt: skip
    """The source of `count` documents of these settings, which have a field `seed`."""

    @cache
    def entropy(path: str) -> float:
        chosen = settings(kind, path)
        drawn = [one(chosen, k) for k in range(min(SAMPLE, count(chosen)))]
        return sum(nats for _, nats in drawn) / sum(len(text) + len(SEPARATOR) for text, _ in drawn)

    def one(chosen: S, k: int) -> tuple[bytes, float]:
        seed = f"{kind.__module__}/{chosen.seed}/{k}"  # type: ignore[attr-defined]
        text, nats = document(chosen, k, random.Random(seed))
        return text.encode(), nats

    def documents(config: CorpusConfig) -> Iterator[Document]:
        chosen = settings(kind, config.path)
        for k in range(count(chosen)):
            yield Document(f"{config.source}:{k}", one(chosen, k)[0])

    defaults = "&".join(f"{each.name}={each.default}" for each in dataclasses.fields(kind))  # type: ignore[arg-type]
    return Source(
        documents,
        takes_path=None,
        entropy=lambda config: entropy(config.path),
        usage=f"a generator; data.path={defaults}",
    )
