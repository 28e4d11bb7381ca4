"""Tables of text, for terminals and for Markdown, and the columns that say something."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Style = Literal["plain", "markdown"]


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = "plain",
    left: int | Collection[int] = 1,
) -> str:
    """The text of `layout`, made without it: thousands of rows take a moment.

    Lines are never wrapped or cut, so that it pastes whole.
    """
    from rich.cells import cell_len

    shown = [_cells(head)] * any(head) + [_cells(row) for row in rows]
    lengths = [[max(map(cell_len, cell)) for cell in row] for row in shown]
    widths = [max(column) for column in zip(*lengths, strict=True)]
    places = range(left) if isinstance(left, int) else left
    padded = [
        [
            [_pad(line, width - cell_len(line), place in places) for line in cell]
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in shown
    ]
    lines = [line for row in padded for line in _lines(row, widths)]
    if style == "plain":
        return "\n".join("  ".join(line).rstrip() for line in lines).strip("\n")
    bordered = [f"| {' | '.join(line)} |" for line in lines]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([*bordered[: any(head)], *[rule] * any(head), *bordered[any(head) :]])


def _cells(row: Sequence[str]) -> list[list[str]]:
    """Each cell by its lines, one at least, without control characters."""
    from rich.control import strip_control_codes

    return [strip_control_codes(cell).expandtabs().split("\n") for cell in row]


def _pad(line: str, spaces: int, left: bool) -> str:
    return line + " " * spaces if left else " " * spaces + line


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[list[str]]:
    """The lines of a row; a cell of fewer lines is blank below them."""
    for n in range(max(map(len, row))):
        yield [
            cell[n] if n < len(cell) else " " * width
            for cell, width in zip(row, widths, strict=True)
        ]


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
