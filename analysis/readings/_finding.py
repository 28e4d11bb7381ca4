"""What is read off the runs of a study: an answer in one line, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scaling.common.tables import table


@dataclass(frozen=True)
class Picture:
    """One figure: what to see in it, and what it shows for those who cannot."""

    name: str
    draw: Callable[[], Any]
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Table:
    """Rows of text under their heads, with a title and what a reader must know of them."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """In Markdown, its columns aligned: it pastes into a note and reads in a terminal."""
        lines = table(self.heads, self.rows, "markdown", left=len(self.heads))
        return f"**{self.title}**\n\n{self.note}.\n\n{lines}"


class Finding(Protocol):
    """An answer. `str` of it is the sentence at the top of the report."""

    @property
    def tables(self) -> Sequence[Table]: ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know before believing it."""
        ...

    @property
    def predictions(self) -> Mapping[str, float]:
        """What it foretells about every held-out run; empty where it foretells nothing."""
        ...

    def pictures(self) -> Sequence[Picture]: ...

    def save(self, folder: Path) -> Sequence[Path]:
        """Write what the next study can use; the files."""
        ...
