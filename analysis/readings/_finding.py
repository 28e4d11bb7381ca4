"""Findings of a reading: an answer in one line, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scaling.common.answers import Ranged
from scaling.common.tables import table


@dataclass(frozen=True)
class Picture:
    """One figure: its caption, and `alt`, a description for readers who cannot see it."""

    name: str
    draw: Callable[[], Any]
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class TextTable:
    """Rows of text under their heads, with a title and a note."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Markdown with aligned columns, for notes and terminals."""
        lines = table(self.heads, self.rows, "markdown", left=len(self.heads))
        return f"**{self.title}**\n\n{self.note}.\n\n{lines}"


def beyond_seeds(value: Ranged, null: float, word: str) -> str:
    """A clause on a mean over seeds: from one seed, or no different from `null`, called `word`."""
    _, low, high = value
    if math.isnan(low):
        return ", by one seed"
    return f", which does not differ from {word} beyond the seeds" if low <= null <= high else ""


class Finding(Protocol):
    """An answer. `str` of it is the sentence at the top of the report."""

    @property
    def tables(self) -> Sequence[TextTable]: ...

    @property
    def notes(self) -> Sequence[str]:
        """Caveats."""
        ...

    @property
    def predictions(self) -> Mapping[str, float]:
        """Predicted values of every held-out run; empty where the reading predicts none."""
        ...

    def pictures(self) -> Sequence[Picture]: ...

    def save(self, folder: Path) -> Sequence[Path]:
        """Write the files that the next study can use; their paths."""
        ...
