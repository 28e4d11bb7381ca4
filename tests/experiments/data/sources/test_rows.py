"""Rows give documents; what gives none is skipped by place, or refused where no row gives any."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from experiments.config.data import CorpusConfig
from experiments.data.sources import Document, Skipped, documents
from scaling.common.errors import UserError


def read(path: Path, field: str = "text") -> list[Document | Skipped]:
    return list(documents(CorpusConfig(source="files", path=str(path), field=field)))


def texts(found: list[Document | Skipped]) -> list[bytes]:
    return [each.content for each in found if isinstance(each, Document)]


def reasons(found: list[Document | Skipped]) -> dict[str, str]:
    """By the place after the path of the file."""
    return {
        each.name.rpartition("/")[2]: each.reason for each in found if isinstance(each, Skipped)
    }


def parquet(**columns: list[object]) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as writer

    file = io.BytesIO()
    writer.write_table(arrow.table(columns), file)
    return file.getvalue()


def test_jsonl_and_parquet_give_one_document_per_row(tmp_path: Path) -> None:
    rows = ["naïve\n", "", "日本"]
    lines = "\n".join(json.dumps({"id": i, "body": text}) for i, text in enumerate(rows))
    (tmp_path / "a.jsonl").write_text(lines + "\n\n")
    (tmp_path / "b.parquet").write_bytes(parquet(body=rows, id=[0, 1, 2]))
    assert texts(read(tmp_path, "body")) == [text.encode() for text in rows] * 2


def test_null_text_is_an_empty_document(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": null}\n')
    (tmp_path / "b.parquet").write_bytes(parquet(text=[None, "x"]))
    assert texts(read(tmp_path)) == [b"", b"", b"x"]


def test_dotted_fields_go_into_objects(tmp_path: Path) -> None:
    """A field of the whole name comes first."""
    rows = [{"a": {"b": {"c": "deep"}}}, {"a.b.c": "flat", "a": {"b": {"c": "no"}}}, {"a": "x"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.parquet").write_bytes(parquet(a=[{"b": {"c": "deep"}}, None]))
    (tmp_path / "c.parquet").write_bytes(parquet(**{"a.b.c": ["flat"], "a": [{"b": {"c": "no"}}]}))
    found = read(tmp_path, "a.b.c")
    assert texts(found) == [b"deep", b"flat", b"deep", b"flat"]
    assert reasons(found) == {
        "a.jsonl:3": "no field 'a.b.c'",
        "b.parquet: row 1": "no field 'a.b.c'",
    }


ROWS = {
    '{"text": ': "not valid JSON",
    "[1]": "a JSON list, not an object with fields",
    '{"content": "x"}': "no field 'text'",
    '{"text": 3}': "field 'text' holds a int, not text",
    '{"text": ["a"]}': "field 'text' holds a list, not text",
    '{"text": "caf\xe9"}': "not valid JSON",  # Latin-1
    "[" * 100_000: "not valid JSON",  # deeper than the interpreter's stack
    '{"text": ' + "9" * 6000 + "}": "not valid JSON",
}


def test_rows_beside_good_ones_are_skipped_by_place(tmp_path: Path) -> None:
    lines = ['{"text": "first"}', *ROWS, '{"text": "last"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="latin-1")
    found = read(tmp_path)
    assert texts(found) == [b"first", b"last"]
    assert reasons(found) == {f"a.jsonl:{k}": ROWS[row] for k, row in enumerate(ROWS, start=2)}


@pytest.mark.parametrize("row", ROWS)
def test_a_file_without_one_good_row_is_refused_at_its_first(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"\n{row}\n{row}\n", encoding="latin-1")
    (tmp_path / "b.jsonl").write_text('{"text": "fine"}\n')
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/a.jsonl:2: {ROWS[row]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("txet", r"row 0: no field 'txet' \(did you mean 'text'\?; known: meta, text\); set data"),
        ("text.raw", r"row 0: no field 'text.raw' \(known: (meta, )?text\)"),
        ("meta.body", r"row 0: no field 'meta.body' \(known: url\)"),
        ("meta", "row 0: field 'meta' holds a dict, not text; set data.field"),
    ],
)
def test_a_wrong_field_is_refused_with_those_that_there_are(
    tmp_path: Path, field: str, says: str
) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(text=["x"], meta=[{"url": "u"}]))
    with pytest.raises(UserError, match=f"a.parquet: {says}"):
        read(tmp_path, field)
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "b.jsonl").write_text('{"text": "x", "meta": {"url": "u"}}')
    with pytest.raises(UserError, match=rf"b\.jsonl:1: {says.removeprefix('row 0: ')}"):
        read(tmp_path, field)
