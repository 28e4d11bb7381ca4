"""Random search: the candidates are a function of the seed alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

from experiments.plan.grids import Assignment
from experiments.search.samplers import Tried
from experiments.search.space import Space, draw


def candidates(space: Space, seed: int, tried: Collection[Tried] = ()) -> Iterator[Assignment]:
    """Draws 0, 1, 2, ... without repeats and without tried candidates."""
    seen: set[frozenset[tuple[str, Any]]] = set()
    for number in count():
        fields = draw(space, seed, number)
        key = frozenset(fields.items())
        if key not in seen and all(fields != other.fields for other in tried):
            seen.add(key)
            yield fields
