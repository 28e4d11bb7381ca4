"""Samplers: choose the next candidates of a search, one file each.

A sampler's file defines

    def candidates(space: Space, seed: int, tried: Collection[Tried]) -> Iterator[Assignment]

an endless iterator of candidates, none twice and none tried before. `tried` grows and gets its
scores meanwhile: the search takes each candidate when it needs it.
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
    """The sampler of this name; only this call imports its file and packages."""
    found: Sampler = plugins.find(__name__, name, "--sampler", "candidates")
    return found
