"""Readers and writers of the record, file by file and row by row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import records
from small_disk import tiny_files

from experiments import record
from experiments.record import ItemRow, Status
from scaling.common.errors import UserError

FULL = Path("/dev/full")
ROW = records.training(8, 3.0, 1.5, learning_rate=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 99}', r"record schema 99, this version reads 2"),
        ('{"name": "x"}', r"\$: Object contains unknown field `name`"),
        ("[1, 2]", r"\$: Expected `object`, got `array`"),
        ('{"schema": 2', r"not valid JSON"),
        ("", r"not valid JSON"),
    ],
)
def test_file_of_another_version_or_damaged_is_one_line(tmp_path, content, message):
    path = tmp_path / record.SUMMARY
    path.write_text(content)
    with pytest.raises(UserError, match=rf"summary\.json: {message}") as caught:
        record.read(tmp_path, record.RunSummary)
    assert "\n" not in str(caught.value)


def test_rows_append_and_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / record.METRICS
    assert list(record.read_rows(path)) == []
    rows = [ROW, records.validation(8, 2.5), records.training(16, 2.0, 3.0)]
    record.append_rows(path, rows[:2])
    record.append_rows(path, rows[2:])
    with path.open("a") as file:
        file.write('{"step": 24')
    assert list(record.read_rows(path)) == [*record.newest_rows(path)][::-1] == rows
    record.rewrite_rows(path, rows[:1])
    assert list(record.read_rows(path)) == rows[:1]


def test_a_row_holds_no_field_that_was_not_measured(tmp_path):
    record.append_rows(tmp_path / record.METRICS, [records.validation(8, 2.5)])
    text = (tmp_path / record.METRICS).read_text()
    assert list(json.loads(text)) == ["step", "tokens", "metrics", "crc32"]


def test_items_of_a_task_come_back(tmp_path):
    path = tmp_path / record.EVALUATIONS / "lambada.jsonl"
    items = [
        ItemRow(step=8, item="3", log_probabilities=(-1.5, -0.5), answer=1, is_right=True),
        ItemRow(step=8, item="4", samples=("a", "b")),
    ]
    record.append_rows(path, items)
    assert list(record.read_items(path)) == items


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"step"', "not valid JSON"),
        (
            '{"step": 1, "tokens": 64, "metrics": {"loss": "low"}}',
            "not a row of the record ($.metrics[...]: Expected `float | null`, got `str`)",
        ),
        (
            '{"step": 1, "tokens": 64, "metrics": {}, "wall": 2}',
            "not a row of the record ($: Object contains unknown field `wall`)",
        ),
        (
            '{"step": 1, "metrics": {}}',
            "not a row of the record ($: Object missing required field `tokens`)",
        ),
        ("17", "not a row of the record ($: Expected `object`, got `int`)"),
    ],
)
def test_damage_inside_the_rows_names_its_line_and_its_field(tmp_path, text, said):
    path = tmp_path / record.METRICS
    record.append_rows(path, [ROW])
    with path.open("a") as file:
        file.write(f"{text}\n")
    record.append_rows(path, [ROW])
    with pytest.raises(record.DamagedError) as caught:
        list(record.read_rows(path))
    assert str(caught.value) == f"{path}:2: {said}; run the study again, which trains the run anew"
    assert list(record.newest_rows(path)) == [ROW, ROW]


def test_failed_rewrite_of_rows_leaves_the_old_rows(tmp_path):
    path = tmp_path / record.METRICS
    record.rewrite_rows(path, [ROW])
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot write"), tiny_files():
        record.rewrite_rows(path, [ROW] * 1000)
    assert list(record.read_rows(path)) == [ROW]
    assert [file.name for file in tmp_path.iterdir()] == [record.METRICS]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_full_disk_while_appending_is_one_line(tmp_path):
    path = tmp_path / record.METRICS
    path.symlink_to(FULL)
    with pytest.raises(
        UserError, match=r"metrics\.jsonl: cannot write \(No space left on device\).*--out"
    ):
        record.append_rows(path, [ROW])


ENDED_FILES = (record.CONFIG, record.METRICS, f"{record.EVALUATIONS}/lambada.jsonl")


def ended(run: Path) -> Path:
    """A run that has ended, with rows and items."""
    record.write(run, records.run_record())
    record.append_rows(run / record.METRICS, [ROW, records.validation(8, 2.5)])
    record.append_rows(run / record.EVALUATIONS / "lambada.jsonl", [ItemRow(step=8, item="3")])
    record.write(run, records.run_summary(files=record.sums(run)))
    return run


@pytest.mark.parametrize("name", ENDED_FILES)
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_an_ended_run_whose_files_differ_from_its_summary_counts_as_begun(tmp_path, name, damage):
    run = ended(tmp_path)
    assert list(record.read(run, record.RunSummary).files) == list(ENDED_FILES)
    assert record.run_status(run) is Status.COMPLETED
    damage(run / name)
    assert record.run_status(run) is Status.STARTED
    assert list(record.changed(run, record.read(run, record.RunSummary))) == [name]


def test_status_follows_from_the_files_alone(tmp_path):
    run = tmp_path / "run"
    assert record.run_status(run) is Status.MISSING
    record.write(run, records.run_record())
    assert record.run_status(run) is Status.STARTED
    for status in record.ENDED:
        record.write(run, records.run_summary(status=status))
        assert record.run_status(run) is status
    (run / record.SUMMARY).write_text("{")
    assert record.run_status(run) is Status.STARTED
