from __future__ import annotations

import resource
import shutil
import signal
from pathlib import Path

import pytest
import records
import tiny

from experiments import record
from experiments.launchers import _worker as worker
from experiments.record import RunRecord, RunSummary, Status
from experiments.runs.quarantine import quarantine
from scaling.common.errors import UserError
from scaling.common.files import line


def train(job, corpus, interrupted=lambda: False):
    events = []
    worker.attend((job,), corpus, events.append, interrupted)
    return events


def rows(job):
    return records.means(job.folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    job = tiny.job(tmp_path_factory.mktemp("finished"))
    assert train(job, corpus)[-1].phase is Status.COMPLETED
    return job


@pytest.fixture
def half(tmp_path, corpus):
    """A run that was stopped after two dispatches."""
    job, asked = tiny.job(tmp_path), []
    events = train(job, corpus, lambda: bool(asked) or asked.append(1))
    assert (events[-1].phase, events[-1].step) == (Status.STARTED, 16)
    return job


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def tear(path):
    """A line that was torn, and a row after it."""
    with path.open("a") as file:
        file.write('{"step": 16, "lo{"step": 16, "tokens": 1024}\n')


def zeros(path):
    """Leave a length without the content, as a power cut does on some file systems."""
    with path.open("ab") as file:
        file.write(bytes(64) + b"\n")


def other_row(path):
    with path.open("a") as file:
        file.write("17\n")


def other_digit(path):
    """A number of the first row that is still a number."""
    before, mark, rest = path.read_text().partition('"loss": ')
    path.write_text(f"{before}{mark}{(int(rest[0]) + 1) % 10}{rest[1:]}")


def double(path):
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((first, first, *others)))


def no_object(path):
    path.write_text("[]")


def no_status(path):
    path.write_text(path.read_text().replace("completed", "complexed"))


def lose_rows(path):
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


@pytest.mark.parametrize(
    ("name", "damage", "moved", "start"),
    [
        (record.CONFIG, cut, [record.CONFIG], 16),
        (record.METRICS, tear, [record.CHECKPOINTS, record.METRICS], 0),
        (record.METRICS, zeros, [record.CHECKPOINTS, record.METRICS], 0),
        (record.METRICS, other_row, [record.CHECKPOINTS, record.METRICS], 0),
        (record.METRICS, lose_rows, [record.CHECKPOINTS, record.METRICS], 0),
        (record.METRICS, other_digit, [record.CHECKPOINTS, record.METRICS], 0),
    ],
)
def test_damage_is_moved_aside_told_and_the_run_ends_the_same(
    half, finished, corpus, name, damage, moved, start
):
    damage(half.folder / name)
    damaged = (half.folder / name).read_bytes()
    events = train(half, corpus)
    (note,) = (event.note for event in events if event.note)
    assert name in note
    assert "moved to quarantine.1" in note
    assert "\n" not in note
    aside = half.folder / "quarantine.1"
    assert sorted(path.name for path in aside.iterdir()) == moved
    assert (aside / name).read_bytes() == damaged
    assert [event.step for event in events if event.phase == "compiling"][-1] == start
    assert events[-1].phase is Status.COMPLETED
    assert rows(half) == rows(finished)
    assert record.read(half.folder, RunRecord).run_id == half.run.run_id


@pytest.mark.parametrize(
    ("name", "damage", "moved", "start"),
    [
        (record.METRICS, other_digit, [record.CHECKPOINTS, record.METRICS, record.SUMMARY], 0),
        (record.METRICS, double, [record.CHECKPOINTS, record.METRICS, record.SUMMARY], 0),
        (record.METRICS, Path.unlink, [record.CHECKPOINTS, record.SUMMARY], 0),
        (record.CONFIG, Path.unlink, [record.SUMMARY], tiny.STEPS),
        (record.SUMMARY, no_object, [record.SUMMARY], tiny.STEPS),
        (record.SUMMARY, no_status, [record.SUMMARY], tiny.STEPS),
        (record.SUMMARY, other_digit, [record.SUMMARY], tiny.STEPS),
    ],
)
def test_damage_of_a_finished_run_is_moved_aside_told_and_mended(
    tmp_path, finished, corpus, name, damage, moved, start
):
    job = tiny.job(tmp_path)
    shutil.copytree(finished.folder, job.folder)
    assert [event.phase for event in train(job, corpus)] == [Status.COMPLETED]
    damage(job.folder / name)
    assert record.run_status(job.folder) is Status.STARTED
    events = train(job, corpus)
    (note,) = (event.note for event in events if event.note)
    assert name in note
    assert "\n" not in note
    assert sorted(path.name for path in (job.folder / "quarantine.1").iterdir()) == moved
    assert [event.step for event in events if event.phase == "compiling"][-1] == start
    assert events[-1].phase is Status.COMPLETED
    assert rows(job) == rows(finished)
    before, after = (record.read(each.folder, RunSummary) for each in (finished, job))
    assert before.metrics.loss == after.metrics.loss


def test_damaged_summary_is_no_summary(half, finished, corpus):
    train(half, corpus)
    path = half.folder / record.SUMMARY
    loss = record.read(half.folder, RunSummary).metrics.loss
    cut(path)
    assert record.run_status(half.folder) is Status.STARTED
    train(half, corpus)
    assert record.read(half.folder, RunSummary).metrics.loss == loss
    assert [file.name for file in (half.folder / "quarantine.1").iterdir()] == [record.SUMMARY]
    assert rows(half) == rows(finished)


def test_second_damage_has_a_place_of_its_own(half):
    for number in (1, 2):
        (half.folder / record.CONFIG).write_text("{")
        assert f"quarantine.{number};" in quarantine(half.folder)
    assert quarantine(half.folder) is None


def test_torn_last_line_is_no_damage(half):
    with (half.folder / record.METRICS).open("w") as file:
        rows = (records.training(8, 5.0, 1.0), records.training(16, 4.0, 2.0))
        file.write("".join(map(line, rows)) + '{"step": 24, "lo')
    assert quarantine(half.folder) is None


def test_record_of_another_version_is_no_damage(half):
    path = half.folder / record.CONFIG
    path.write_text('{"schema": 9}')
    with pytest.raises(UserError, match="record schema 9"):
        quarantine(half.folder)
    assert path.read_text() == '{"schema": 9}'


@pytest.mark.parametrize("limit", [500, 20_000])
def test_full_disk_stops_the_run_with_its_last_checkpoint_whole(half, finished, corpus, limit):
    """No file may grow beyond a limit, as on a full disk: the rows fail, or a checkpoint."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write \(File too large\)") as caught:
            train(half, corpus)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    events = train(half, corpus)
    assert [event.step for event in events if event.phase == "compiling"][-1] == 16
    assert events[-1].phase is Status.COMPLETED
    assert rows(half) == rows(finished)
