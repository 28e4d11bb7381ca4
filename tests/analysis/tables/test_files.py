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
