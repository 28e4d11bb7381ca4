"""Tables of text, for terminals and for Markdown, and the columns that say something."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Style = Literal["plain", "markdown"]
FOLDED = 32  # characters that a cell keeps on a line


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = "plain",
    left: int | Collection[int] = 1,
) -> str:
    """The text of `layout`, made without it: thousands of rows take a moment.

    Lines are never wrapped or cut, so that it pastes whole.
    """
    places = range(left) if isinstance(left, int) else left
    unpadded = [line for row in ([head] * any(head) + [*rows]) for line in _lines(row)]
    columns = [
        _column(texts, place in places) for place, texts in enumerate(zip(*unpadded, strict=True))
    ]
    lines = zip(*(texts for texts, _ in columns), strict=True)
    if style == "plain":
        return "\n".join("  ".join(line).rstrip() for line in lines).strip("\n")
    bordered = [f"| {' | '.join(line)} |" for line in lines]
    rule = f"|{'|'.join('-' * (width + 2) for _, width in columns)}|"
    return "\n".join([*bordered[: any(head)], *[rule] * any(head), *bordered[any(head) :]])


def _lines(row: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The lines of a row without control characters; a cell of fewer lines is blank below them."""
    if all(map(str.isprintable, row)):  # one line, of no such characters
        return iter([tuple(row)])
    from rich.control import strip_control_codes

    cells = (strip_control_codes(cell).expandtabs().split("\n") for cell in row)
    return zip_longest(*cells, fillvalue="")


def _column(texts: Sequence[str], left: bool) -> tuple[list[str], int]:
    """The texts of a column, padded to their greatest width on a terminal, and that width."""
    from rich.cells import cell_len

    widths = list(map(cell_len, texts))
    width = max(widths)
    if left:
        return [t + " " * (width - n) for t, n in zip(texts, widths, strict=True)], width
    return [" " * (width - n) + t for t, n in zip(texts, widths, strict=True)], width


def layout(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = "plain",
    left: int | Collection[int] = 1,
) -> Table:
    """Columns as wide as their widest cell, which a terminal folds to its width.

    The first `left` columns, or those at the places `left`, are flush left. A head of empty names
    is not shown.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    places = range(left) if isinstance(left, int) else left
    drawn = Table(
        box=box.MARKDOWN if style == "markdown" else None,
        show_header=any(head),
        pad_edge=style == "markdown",
        header_style="bold",
    )
    for place, name in enumerate(head):
        justify: Literal["left", "right"] = "left" if place in places else "right"
        drawn.add_column(Text(name), justify=justify, overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


def blocks(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The columns in groups whose lines are at most `width` wide; the first column leads each.

    A column of longer text than `FOLDED` counts as that wide, for its cells may be folded.
    """
    from rich.cells import cell_len

    widths = (max(map(cell_len, texts), default=0) for texts in zip(head, *rows, strict=True))
    wide = [min(each, FOLDED) for each in widths]
    found: list[list[int]] = []
    room = 0
    for place in range(1, len(wide)):
        if not found or wide[place] + 2 > room:
            found.append([0])
            room = width - wide[0]
        found[-1].append(place)
        room -= wide[place] + 2
    return found or [[0]]


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
