"""Tables of text, for terminals and for Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    markdown = style == "markdown"
    made = Table(
        show_header=any(head),
        box=box.MARKDOWN if markdown else None,
        pad_edge=markdown,
        padding=(0, 1) if markdown else (0, 2, 0, 0),
    )
    places = range(left) if isinstance(left, int) else left
    for number, name in enumerate(head):
        made.add_column(name, justify="left" if number in places else "right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    console = Console(width=10_000, color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(made)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n")
