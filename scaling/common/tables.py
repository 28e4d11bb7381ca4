"""Tables of text, for terminals and for Markdown, and the columns that say something."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Literal
from unicodedata import east_asian_width

Style = Literal["plain", "markdown"]


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = "plain",
    left: int | Collection[int] = 1,
) -> str:
    """Columns as wide as their widest cell; the first `left` columns, or those at the places
    `left`, are flush left.

    A head of empty names is not printed.

    Lines are never wrapped or cut, so that the text pastes whole.
    """
    places = range(left) if isinstance(left, int) else left
    lines = [list(head)] * any(head) + [list(row) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    before, between, after = ("| ", " | ", " |") if style == "markdown" else ("", "  ", "")
    made = []
    for line in lines:
        cells = []
        for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
            space = " " * (width - _width(cell))
            cells.append(cell + space if place in places else space + cell)
        made.append((before + between.join(cells) + after).rstrip())
    if style == "markdown" and any(head):
        made.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(made)


def varying(columns: Mapping[str, Sequence[Hashable]]) -> tuple[str, ...]:
    """The columns in which rows differ, without those that an earlier one decides.

    Heads that grow as the width are decided by it, and so by whichever of the two stands first.
    """
    kept: list[Sequence[Hashable]] = []
    names = []
    for name, values in columns.items():
        if len(set(values)) > 1 and not any(_decides(one, values) for one in kept):
            kept.append(values)
            names.append(name)
    return tuple(names)


def _decides(one: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: two for a wide letter."""
    if text.isascii():
        return len(text)
    return sum(1 + (east_asian_width(letter) in "WF") for letter in text)
