"""Schema of the file of a search: its method, its candidates and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from experiments.record.schema import SEARCH, Entry, File


class SearchCandidate(Entry, frozen=True, kw_only=True):
    """A candidate of a search; scores and runs by the tokens of their budget."""

    fields: Mapping[str, Any]
    scores: Mapping[int, float | None] = msgspec.field(
        default_factory=dict
    )  # loss in nats per token; null: diverged
    runs: Mapping[int, str] = msgspec.field(default_factory=dict)


class SearchMethod(Entry, frozen=True, kw_only=True):
    """Settings that a search must keep in order to continue."""

    name: str
    eta: int
    promotion: str
    sampler: str


class SearchCost(Entry, frozen=True, kw_only=True):
    """Budgets, the tokens of their whole steps, and FLOPs."""

    units: float
    tokens: float
    flops_model: float


class SearchRecord(File, frozen=True, kw_only=True):
    """search.json, written before and after every rung."""

    NAME = SEARCH
    MEND = "move it away"
    question: str
    method: str
    R: tuple[int, ...]  # the greatest budgets so far
    finished: bool
    search: SearchMethod
    space: Mapping[str, str]
    base: Mapping[str, Any]
    cost: Mapping[str, SearchCost]  # resumed, restarted, everything
    best: SearchCandidate | None
    candidates: tuple[SearchCandidate, ...]
