"""Files of rows with letters and numbers that other readers stumble at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.tables.files import load_table
from scaling.common.errors import UserError

ODD = "a\u2028b\x85c\x0cd"  # ends of lines to some programs, and letters to CSV and JSON
ROWS = [{"name": ODD, "n": 1e7, "loss": 2.5}, {"name": "e", "n": 2e7, "loss": 2.25}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_only_ends_of_lines_end_a_row(tmp_path: Path, form: str, end: str) -> None:
    lines = ["name,n,loss", *(f"{row['name']},{row['n']},{row['loss']}" for row in ROWS)]
    if form == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    path = tmp_path / "table"
    path.write_bytes(end.join([*lines, ""]).encode())
    table = load_table(path)
    assert table["name"].tolist() == [ODD, "e"]
    assert table["n"].tolist() == [1e7, 2e7] and table["loss"].tolist() == [2.5, 2.25]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"n": ' + "1" * 5000 + "}"])
def test_json_that_python_cannot_hold_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"neither JSON nor JSON lines \(line 1: ") as caught:
        load_table(path)
    assert "\n" not in str(caught.value)


def test_lists_and_mappings_in_cells_of_parquet_are_their_text(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = {"betas": [[0.9, 0.95], None], "model": [{"width": 64}, {"width": 128}], "n": [1, 2]}
    parquet.write_table(arrow.table(cells), tmp_path / "table")
    table = load_table(tmp_path / "table")
    assert table["betas"].tolist()[0] == "[0.9, 0.95]" and table["betas"].isna().tolist()[1]
    assert json.loads(table["model"][1]) == {"width": 128} and table["n"].tolist() == [1, 2]


TABLE = "name,n,loss\na,1e7,2.5\nb,2e7,2.25\n"
ABOVE = {
    "a title": f"Runs of March,,\n{TABLE}",
    "a title and a gap": f"Runs of March\n\n{TABLE}",
    "Excel's separator": f"sep=;\n{TABLE.replace(',', ';')}",
    "names beside rows": json.dumps(
        {"columns": ["name", "n", "loss"], "data": [["a", 1e7, 2.5], ["b", 2e7, 2.25]]}
    ),
}


@pytest.mark.parametrize("what", ABOVE)
def test_what_stands_above_the_header_is_no_row(tmp_path: Path, what: str) -> None:
    (tmp_path / "table").write_text(ABOVE[what])
    table = load_table(tmp_path / "table")
    assert table["n"].tolist() == [1e7, 2e7] and table.columns.tolist() == ["name", "n", "loss"]


def test_a_first_row_of_one_cell_stays_a_row_or_a_header(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("loss\n2.5\n2.25\n")
    assert load_table(tmp_path / "table")["loss"].tolist() == [2.5, 2.25]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1e7,1e8,2.5\n2e7,1e8,2.25\n", "the first line holds numbers"),
        ("n (M),loss\n10M,2.5\n", "has a unit in its name and in its cells"),
    ],
)
def test_a_table_that_reads_two_ways_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "table").write_text(text)
    with pytest.raises(UserError, match=said):
        load_table(tmp_path / "table")


def test_zstd_is_unpacked(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    packed = arrow.Codec("zstd").compress(TABLE.encode(), asbytes=True)
    (tmp_path / "table").write_bytes(packed)
    assert load_table(tmp_path / "table")["loss"].tolist() == [2.5, 2.25]


def test_the_sheet_with_a_table_is_read_below_its_title(tmp_path: Path) -> None:
    book = pytest.importorskip("openpyxl").Workbook()
    book.active.append(["Read me"])
    sheet = book.create_sheet("runs")
    for row in (["Runs of March"], [], [None, "n", "loss"], [None, 1e7, 2.5]):
        sheet.append(row)
    book.save(tmp_path / "table")
    table = load_table(tmp_path / "table")
    assert table.columns.tolist() == ["n", "loss"] and table["loss"].tolist() == [2.5]
