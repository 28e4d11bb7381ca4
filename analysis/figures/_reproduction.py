"""What a published figure comes back as: the picture, and a table of theirs beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Row:
    """One quantity. `tolerance` is absolute: how far ours may be from theirs and still count as
    reproduced; None where the data do not allow it, and then `why` says what stands against it."""

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
    notes: tuple[str, ...]  # what the released data contradict, and what the figure teaches
    figure: Figure


def table_text(rows: Sequence[Row]) -> str:
    """published / ours / difference, aligned for a terminal."""
    cells = [("", "published", "ours", "difference", "")]
    for row in rows:
        said = f"{row.verdict}: {row.why}" if row.why else row.verdict
        cells.append(
            (
                row.quantity,
                f"{row.published:.6g}",
                f"{row.ours:.6g}",
                f"{row.difference:+.2g}",
                said,
            )
        )
    widths = [max(len(line[at]) for line in cells) for at in range(4)]
    return "\n".join(
        f"{line[0]:<{widths[0]}}  {line[1]:>{widths[1]}}  {line[2]:>{widths[2]}}  "
        f"{line[3]:>{widths[3]}}  {line[4]}".rstrip()
        for line in cells
    )
