"""Parts of answers: text and JSON from the same values."""

from __future__ import annotations

import json
import math
import re
import sys

import numpy as np
import pytest

from scaling.common.answers import Answer, Estimate, Line, Note, Rows, Shown, deliver


def answer() -> Answer:
    yield Line(
        "{law} on {rows} rows, {objective:.3g}",
        law="chinchilla",
        rows=np.int64(24),
        objective=0.123456,
    )
    yield Line("at {flops}: {params}", "at", flops=1e20, params=Estimate(1.23456e9, 1e9, 2e9))
    yield Line("at {flops}: {params}", "at", flops=1e21, params=Estimate(4e9))
    cells = [["a", math.nan, Shown.of(0.25, ".0%")], ["b", np.float32(2.5), None]]
    yield Rows("laws", ("law", "off, %", "N*"), cells)
    yield Note("few rows")
    return 3


def test_text_shows_the_values(capsys):
    assert deliver(answer(), as_json=False) == 3
    first, one, two, *rows, note = capsys.readouterr().out.splitlines()
    assert first == "chinchilla on 24 rows, 0.123"
    assert (one, two) == ("at 1e+20: 1.235e+09 [1e+09, 2e+09]", "at 1e+21: 4e+09")
    assert [row.split() for row in rows[1:]] == [["a", "-", "25%"], ["b", "2.5", "-"]]
    assert note == "note: few rows"


def test_json_holds_them_whole(capsys):
    assert deliver(answer(), as_json=True) == 3
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "law": "chinchilla",
        "rows": 24,
        "objective": 0.123456,
        "at": [
            {"flops": 1e20, "params": {"value": 1.23456e9, "low": 1e9, "high": 2e9}},
            {"flops": 1e21, "params": {"value": 4e9, "low": None, "high": None}},
        ],
        "laws": [
            {"law": "a", "off_percent": None, "N_star": 0.25},
            {"law": "b", "off_percent": 2.5, "N_star": None},
        ],
        "notes": ["few rows"],
    }


def test_one_name_is_one_value():
    def twice() -> Answer:
        yield Line("{rows}", rows=1)
        yield Line("{rows}", rows=2)
        return 0

    with pytest.raises(KeyError, match="rows"):
        deliver(twice(), as_json=True)


def test_a_terminal_folds_a_table_to_its_width(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    row = ["model.pattern", "blocks, repeated over the depth"]
    assert deliver(iter([Rows("fields", ("field", "meaning"), [row], left=2)]), False) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) > 3 and max(map(len, said[1:])) <= 30
    assert " ".join(line[15:].strip() for line in said[1:]) == row[1]


def test_a_terminal_splits_a_wide_table_into_blocks_that_the_first_column_leads(
    capsys, monkeypatch
):
    """No number is folded, and a file has every row on one line."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    head = ("run", *(f"column {at}" for at in range(6)), "weights")
    cells = [[f"run{n}", *(f"{n}23,456,{at}89" for at in range(6)), "0.25, " * 12] for n in (1, 2)]
    table = Rows("runs", head, cells)
    assert deliver(iter([table]), False) == 0
    said = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert max(map(len, said.splitlines())) <= 40
    assert len(re.findall(r"^run ", said, re.M)) == len(re.findall(r"^run1 ", said, re.M)) > 2
    assert all(cell in said for row in cells for cell in row[:-1])
    assert max(map(len, str(table).splitlines())) > 100


def test_a_terminal_shows_a_table_that_fits_as_a_file_does(capsys, monkeypatch):
    rows = Rows("fields", ("field", "meaning"), [["a", "[b]"]], left=2, above="two fields:\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert deliver(iter([rows]), False) == 0
    said = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert said == f"{rows}\n" == "two fields:\nfield  meaning\na      [b]\n"
