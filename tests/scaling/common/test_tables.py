"""A table by hand, as Markdown and plain."""

from __future__ import annotations

from scaling.common.tables import table

ROWS = [("ccc", "d"), ("e", "fff")]


def test_columns_are_as_wide_as_their_cells() -> None:
    markdown = "| a   |  bb |\n|-----|-----|\n| ccc |   d |\n| e   | fff |"
    assert table(("a", "bb"), ROWS, "markdown") == markdown
    assert table(("a", "bb"), ROWS) == "a     bb\nccc    d\ne    fff"
    assert table(("", ""), ROWS) == "ccc    d\ne    fff"
