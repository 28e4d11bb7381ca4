"""A table by hand, as Markdown and plain."""

from __future__ import annotations

from scaling.common.tables import table, varying

ROWS = [("ccc", "d"), ("e", "fff")]


def test_columns_are_as_wide_as_their_cells() -> None:
    markdown = "| a   |  bb |\n|-----|-----|\n| ccc |   d |\n| e   | fff |"
    assert table(("a", "bb"), ROWS, "markdown") == markdown
    assert table(("a", "bb"), ROWS) == "a     bb\nccc    d\ne    fff"
    assert table(("", ""), ROWS) == "ccc    d\ne    fff"


def test_a_cell_is_as_wide_as_a_terminal_shows_it() -> None:
    """Wide letters take two places, a cell of two lines has two rows, and markup is text."""
    rows = [("日本", "[bold]"), ("one\ntwo", "é\r")]
    assert table(("", "b"), rows) == "           b\n日本  [bold]\none        é\ntwo"
    assert table((), ()) == ""


def test_columns_that_differ_and_that_no_earlier_one_decides() -> None:
    columns = {
        "same": [1, 1, 1, 1],
        "width": [8, 8, 16, 16],
        "heads": [2, 2, 4, 4],  # as the width
        "wide": ["no", "no", "yes", "yes"],
        "seed": [0, 1, 0, 1],
    }
    assert varying(columns) == ("width", "seed")
    assert varying({"seed": [0, 1, 2], "width": [8, 8, 16]}) == ("seed",)
