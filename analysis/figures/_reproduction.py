"""A published figure, drawn again: the picture, and its numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.common.tables import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Row:
    """One quantity. `tolerance` is the largest absolute difference that counts as reproduced; None
    where the data allow no comparison, for the reason in `why`."""

    quantity: str
    published: float
    ours: float
    tolerance: float | None
    why: str = ""

    @property
    def difference(self) -> float:
        return self.ours - self.published

    @property
    def verdict(self) -> str:
        if self.tolerance is None:
            return "not comparable"
        return "agrees" if abs(self.difference) <= self.tolerance else "DIFFERS"


@dataclass(frozen=True)
class Reproduction:
    """One figure, drawn again from the released data."""

    title: str
    source: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]  # contradictions in the released data, and the lesson of the figure
    figure: Figure


def table_text(rows: Sequence[Row]) -> str:
    """published / ours / difference, and the verdict, for a terminal."""
    cells = [
        (
            row.quantity,
            f"{row.published:.6g}",
            f"{row.ours:.6g}",
            f"{row.difference:+.2g}",
            f"{row.verdict}: {row.why}" if row.why else row.verdict,
        )
        for row in rows
    ]
    return table(("", "published", "ours", "difference", ""), cells, left=(0, 4))
