"""Each tracker receives every row of the record once, after any interruption."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import signal
from importlib import import_module
from importlib.util import find_spec

import pytest
import records
import tiny
from tracker_readers import READERS

from experiments import record, trackers
from experiments.config.fields import flat, to_dict
from experiments.record import Status, scalar
from experiments.runs.summary import write_config
from experiments.trackers._mirror import mirror
from scaling.common import files
from scaling.common.errors import UserError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]
ONCE = (None,)
ENVIRONMENT = {  # nothing goes out, and nothing of whoever runs the tests comes in
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
UNSET = (
    "WANDB_PROJECT",
    "WANDB_ENTITY",
    "WANDB_SERVICE",  # of this process, not to be shared with one that dies
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
)


def need(name):
    for package in import_module(f"experiments.trackers.{name}").PACKAGES:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")


@pytest.fixture(params=trackers.names())
def tracker(request):
    need(request.param)
    return request.param


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def job(tmp_path):
    job = tiny.job(tmp_path)
    record.write(tmp_path, records.plan("tiny", [records.planned(job.run.run_id)]))
    write_config(job, ())
    return job


def rows(first, last, pace=1.0):
    """Of steps 8 `first` to 8 `last`, with a validation halfway; `pace` is of this attempt."""
    found = []
    for k in range(first, last + 1):
        norm = None if k == 3 else k / 3
        found.append(records.training(8 * k, 3.0 - k / 7, pace * k, 512 * k, grad_norm=norm))
        if k == 4:
            found.append(records.validation(8 * k, 2.9, 512 * k))
    return found


def end(job):
    summary = records.run_summary(
        status=Status.DIVERGED,
        metrics={"loss": 2.75},
        message="at last",
        accounting={"tokens": 4096},
    )
    record.write(job.folder, summary)


def check(tracker, job, folder):
    """The copy is the record: every row, nothing else, nothing twice, the config and the end."""
    copy = READERS[tracker](folder, job.run.run_id)
    expected: dict[int, dict[str, float]] = {}
    for row in records.means(job.folder):
        expected.setdefault(row.pop("step"), {}).update(row)
    close = {"rel": 2**-23 if tracker == "tensorboard" else 0.0, "abs": 0.0, "nan_ok": True}
    assert sorted(copy.points) == sorted(expected)
    for step, values in expected.items():
        values = {name: math.nan if value is None else value for name, value in values.items()}
        assert copy.points[step].pop("seconds") > 0  # of a step done twice, of either time
        assert copy.points[step] == pytest.approx(values, **close)
    assert copy.twice == []
    assert copy.metrics == {"summary/loss": 2.75, "summary/tokens": 4096}
    assert copy.statuses == ["diverged"]
    kind = str if tracker == "mlflow" else lambda value: value
    fields = flat(to_dict(job.run.config.science))
    science = {name: kind(scalar(value)) for name, value in fields}
    assert science["data.corpora"] == ""
    assert science.items() <= copy.config.items()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def mirror_and_die(folder, tracker):
    """Killed when four points are sent, and of the fourth a part where it can be in parts."""
    session = import_module(f"experiments.trackers.{tracker}")._Session
    add, send = session.add, getattr(session, "_send", None)

    def add_and_die(self, points):
        add(self, points[:4])
        die()

    def send_and_die(self, kind, entries):
        send(self, kind, entries[:14])  # of 17
        if kind == "metrics":
            die()

    session.add = add_and_die
    if send:
        session._send = send_and_die
    mirror(folder, tracker, ONCE)


def test_copy_is_the_record_through_a_kill_and_an_interruption(tracker, job, tmp_path):
    metrics = job.folder / record.METRICS
    record.append_rows(metrics, rows(1, 7))
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=mirror_and_die, args=(tmp_path, tracker))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert mirror(tmp_path, tracker, ONCE) > 0
    record.rewrite_rows(metrics, rows(1, 3))  # back to a checkpoint, before what was sent
    assert mirror(tmp_path, tracker, ONCE) == 0
    record.append_rows(metrics, rows(4, 8, pace=2.0))
    end(job)
    assert mirror(tmp_path, tracker, ONCE) > 0
    assert mirror(tmp_path, tracker, ONCE) == 0
    check(tracker, job, tmp_path)


def test_event_that_a_kill_cut_in_two_is_sent_again(job, tmp_path):
    need("tensorboard")
    record.append_rows(job.folder / record.METRICS, rows(1, 8))
    mirror(tmp_path, "tensorboard", ONCE)
    (file,) = (tmp_path / "tensorboard" / job.run.run_id).iterdir()
    os.truncate(file, file.stat().st_size - 9)
    end(job)
    assert mirror(tmp_path, "tensorboard", ONCE) == 2
    check("tensorboard", job, tmp_path)


def test_wandb_run_whose_end_could_not_be_noted_is_written_anew(job, tmp_path, monkeypatch):
    need("wandb")
    record.append_rows(job.folder / record.METRICS, rows(1, 8))
    end(job)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_bytes", lambda *_: die_of_a_full_disk())
        with pytest.raises(UserError, match="No space left"):
            mirror(tmp_path, "wandb", ONCE)
    assert mirror(tmp_path, "wandb", ONCE) == 8
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1
    check("wandb", job, tmp_path)


def die_of_a_full_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
