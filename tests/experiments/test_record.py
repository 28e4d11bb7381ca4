from __future__ import annotations

import json
import os
import resource
import signal
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments import record
from experiments.record import Status
from scaling.common.errors import UserError

FULL = Path("/dev/full")


@contextmanager
def tiny_files():
    """No file may grow beyond a kilobyte: what a full disk does, without filling one.

    Around the one call only, for the limit binds the test runner's own output as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_json_round_trip_makes_its_folder_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "er" / "summary.json"
    record.write_json(path, {"a": 1, "b": [1.5, None, "x"]})
    assert record.read_json(path) == {"schema": record.SCHEMA, "a": 1, "b": [1.5, None, "x"]}
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


def test_record_is_readable_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        record.write_json(tmp_path / "a.json", {})
        record.rewrite_rows(tmp_path / "b.jsonl", [])
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o644}


def test_failed_write_leaves_the_old_file_whole_and_no_scratch(tmp_path):
    path = tmp_path / "summary.json"
    record.write_json(path, {"a": 1})
    refused = pytest.raises(UserError, match=r"summary\.json: cannot write \(File too large\)")
    with refused, tiny_files():
        record.write_json(path, {"a": "x" * 5000})
    assert record.read_json(path)["a"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_failed_rewrite_of_rows_leaves_the_old_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    record.rewrite_rows(path, [{"step": 1}])
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot write"), tiny_files():
        record.rewrite_rows(path, [{"step": n} for n in range(1000)])
    assert list(record.read_rows(path)) == [{"step": 1}]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_full_disk_while_appending_is_one_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.symlink_to(FULL)
    with pytest.raises(
        UserError, match=r"metrics\.jsonl: cannot write \(No space left on device\)"
    ):
        record.append_rows(path, [{"step": 1}])


def test_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write \(File exists\).*--out"):
        record.write_json(tmp_path / "file" / "summary.json", {})


def test_number_that_is_not_finite_never_enters_the_record(tmp_path):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            record.write_json(tmp_path / "a.json", {"loss": value})
        with pytest.raises(ValueError, match="JSON compliant"):
            record.append_rows(tmp_path / "b.jsonl", [{"loss": value}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 99}', r"record schema 99, this version reads 1"),
        ('{"name": "x"}', r"record schema None"),
        ("[1, 2]", r"record schema None"),
        ('{"schema": 1', r"not valid JSON"),
        ("", r"not valid JSON"),
    ],
)
def test_file_of_another_version_or_damaged_is_one_line(tmp_path, content, message):
    path = tmp_path / "summary.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"summary\.json: {message}") as caught:
        record.read_json(path)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot read \(No such file"):
        record.read_json(tmp_path / "study.json")


def test_rows_append_and_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert list(record.read_rows(path)) == []
    record.append_rows(path, [{"step": 1}, {"step": 2}])
    record.append_rows(path, [{"step": 3}])
    with path.open("a") as file:
        file.write('{"step": 4')
    assert [row["step"] for row in record.read_rows(path)] == [1, 2, 3]


def test_damage_inside_the_rows_names_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step"\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: not valid JSON"):
        list(record.read_rows(path))


def test_status_is_told_by_the_files_alone(tmp_path):
    run = tmp_path / "run"
    assert record.run_status(run) is Status.MISSING
    record.write_json(run / record.CONFIG, {})
    assert record.run_status(run) is Status.STARTED
    for status in (Status.FAILED, Status.DIVERGED, Status.COMPLETED):
        record.write_json(run / record.SUMMARY, {"status": status})
        assert record.run_status(run) is status
    assert json.loads((run / record.SUMMARY).read_text())["status"] == "completed"
