"""Changed bytes, lost and doubled rows show in the checksums; text without them is read."""

from __future__ import annotations

import random

import pytest
import records

from experiments import record
from experiments.record import ItemRow, checksums

ROWS = [records.training(8 * k, 3.0 / k, 1.5 * k, learning_rate=1e-3) for k in range(1, 7)]
ITEMS = [ItemRow(step=8, item=str(k), log_probabilities=(-1.0, -2.0)) for k in range(6)]
KINDS = {"rows": (ROWS, record.read_rows), "items": (ITEMS, record.read_items)}


def swapped(lines, k):
    lines[k], lines[k + 1] = lines[k + 1], lines[k]


def digit(lines, k):
    at = max(i for i, byte in enumerate(lines[k].partition(b', "crc32"')[0]) if 48 <= byte <= 57)
    lines[k] = lines[k][:at] + (b"1" if lines[k][at] != 49 else b"2") + lines[k][at + 1 :]


def without_sum(lines, k):
    lines[k] = lines[k].partition(b', "crc32"')[0] + b"}\n"


DAMAGE = {
    "a digit": digit,
    "a row lost": lambda lines, k: lines.pop(k),
    "a row doubled": lambda lines, k: lines.insert(k, lines[k]),
    "two rows swapped": swapped,
    "a row of another file": lambda lines, k: lines.insert(k, other()),
    "a sum lost": without_sum,
}


def other():
    return checksums.ROW.add(b'{"step": 9, "tokens": 9, "item": "9", "metrics": {}}\n')[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_within_rows_is_seen_at_its_row(tmp_path, kind, damage):
    (rows, read), path = KINDS[kind], tmp_path / "rows.jsonl"
    record.append_rows(path, rows[:3])
    record.append_rows(path, rows[3:])
    assert list(read(path)) == rows
    lines = path.read_bytes().splitlines(keepends=True)
    damage(lines, 2)
    path.write_bytes(b"".join(lines))
    with pytest.raises(record.DamagedError, match=r"rows\.jsonl:[34]: "):
        list(read(path))


def test_rows_without_sums_are_read_and_continued(tmp_path):
    """As an earlier version wrote them; the sum of a new row covers them."""
    path = tmp_path / record.METRICS
    record.append_rows(path, ROWS)
    lines = path.read_bytes().splitlines(keepends=True)
    for k in range(len(lines)):
        without_sum(lines, k)
    path.write_bytes(b"".join(lines))
    assert list(record.read_rows(path)) == ROWS
    record.append_rows(path, ROWS[:1])
    assert list(record.read_rows(path)) == [*ROWS, ROWS[0]]
    path.write_bytes(path.read_bytes().replace(b'"step": 16', b'"step": 17'))
    with pytest.raises(record.DamagedError, match=":7: differs from its checksum"):
        list(record.read_rows(path))


def test_any_flipped_bit_of_a_file_is_seen(tmp_path):
    record.write(tmp_path, records.run_summary(metrics={"loss": 2.5}))
    path, rng = tmp_path / record.SUMMARY, random.Random(0)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        with pytest.raises(record.DamagedError):
            record.read(tmp_path, record.RunSummary)


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"schema": 2, "status": "complexed"}'])
def test_file_of_no_version_is_damaged(tmp_path, content):
    (tmp_path / record.SUMMARY).write_text(content)
    with pytest.raises(record.DamagedError):
        record.read(tmp_path, record.RunSummary)


def test_file_without_a_sum_is_read(tmp_path):
    written = records.run_summary(metrics={"loss": 2.5})
    record.write(tmp_path, written)
    path = tmp_path / record.SUMMARY
    path.write_bytes(path.read_bytes().partition(b',\n "crc32"')[0] + b"\n}\n")
    assert record.read(tmp_path, record.RunSummary) == written
