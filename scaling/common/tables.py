"""Tables of text, for terminals and for Markdown, and the columns that say something."""

from __future__ import annotations

import io
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Style = Literal["plain", "markdown"]
UNBOUNDED = 1_000_000  # letters of a line


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = "plain",
    left: int | Collection[int] = 1,
) -> str:
    """The text of `layout`. Lines are never wrapped or cut, so that it pastes whole."""
    from rich.console import Console

    text = io.StringIO()
    drawn = layout(head, rows, style, left)
    Console(file=text, width=UNBOUNDED, force_terminal=False).print(drawn)
    lines = text.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


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
