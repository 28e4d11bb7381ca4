"""Typed JSON files: atomic writes, and one line for whatever is wrong with a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from small_disk import tiny_files

from scaling.common.errors import UserError
from scaling.common.files import DamagedError, TypedError, line, read_json, write_bytes, write_json


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rates: dict[str, float]


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inner: Inner
    sizes: tuple[int, ...] = ()


VALUE = Outer("a", Inner({"lr": 0.1}), (1, 2))


def test_a_value_comes_back_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "er" / "value.json"
    write_json(path, VALUE)
    assert read_json(path, Outer) == VALUE
    assert [file.name for file in path.parent.iterdir()] == ["value.json"]


def test_a_file_is_readable_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "a.json", VALUE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644


def test_a_failed_write_leaves_the_old_file_whole_and_no_scratch(tmp_path):
    path = tmp_path / "value.json"
    write_bytes(path, b"old")
    refused = pytest.raises(UserError, match=r"value\.json: cannot write \(File too large\); make")
    with refused, tiny_files():
        write_bytes(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["value.json"]


def test_a_link_and_a_pipe_take_the_content_and_stay(tmp_path):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("runs.json")
    write_bytes(link, b"some")
    assert link.is_symlink() and (tmp_path / "runs.json").read_bytes() == b"some"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"more")
    assert os.read(reader, 9) == b"more" and pipe.is_fifo()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"\(File exists\); something else has its place"):
        write_bytes(tmp_path / "file" / "value.json", b"")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_never_enters_a_file(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": value})
    with pytest.raises(ValueError, match="JSON compliant"):
        line({"loss": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ('{"name": "a"', DamagedError, "not valid JSON (Input data was truncated)"),
        ("", DamagedError, "not valid JSON (Input data was truncated)"),
        (
            '{"name": "a", "inner": {"rates": {}}, "more": 1}',
            TypedError,
            "$: Object contains unknown field `more`",
        ),
        (
            '{"name": "a", "inner": {"rates": {}, "more": 1}}',
            TypedError,
            "$.inner: Object contains unknown field `more`",
        ),
        (
            '{"name": "a", "inner": {"rates": {"lr": "x"}}}',
            TypedError,
            "$.inner.rates[...]: Expected `float`, got `str`",
        ),
        (
            '{"name": "a", "inner": {"rates": {}}, "sizes": [1, 2.5]}',
            TypedError,
            "$.sizes[1]: Expected `int`, got `float`",
        ),
        ('{"name": "a"}', TypedError, "$: Object missing required field `inner`"),
        ("[]", TypedError, "$: Expected `object`, got `array`"),
    ],
)
def test_a_fault_is_one_line_with_the_file_and_the_field(tmp_path, content, kind, said):
    path = tmp_path / "value.json"
    path.write_text(content)
    with pytest.raises(kind) as caught:
        read_json(path, Outer)
    assert str(caught.value) == f"{path}: {said}; move it away"


def test_a_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"value\.json: cannot read \(No such file"):
        read_json(tmp_path / "value.json", Outer)
