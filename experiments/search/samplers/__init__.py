"""Samplers: choose the next candidates of a search, one file each.

A sampler's file defines

    def candidates(space: Space, seed: int, tried: Collection[Tried]) -> Iterator[Assignment]

an endless iterator of candidates, none of them twice and none that was tried before. `tried` grows
and gets its scores while the iterator is used: each candidate is asked for when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from experiments.plan.grids import Assignment
from experiments.search.space import Space
from scaling.common import plugins


@dataclass(frozen=True)
class Tried:
    """A candidate, and its loss after each number of tokens; NaN where it diverged."""

    fields: Assignment
    scores: dict[int, float] = field(default_factory=dict)


Sampler = Callable[[Space, int, Collection[Tried]], Iterator[Assignment]]


def sampler(name: str) -> Sampler:
    """The sampler of this name; its file is read, and what it needs imported, only here."""
    found: Sampler = plugins.find(__name__, name, "--sampler", "candidates")
    return found
