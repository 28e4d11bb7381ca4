from __future__ import annotations

import math

import pytest
import tiny

from experiments import record
from experiments.record import Status
from experiments.runs.job import Event, Job
from experiments.runs.watch import Follower

ROW = {"step": 8, "tokens": 512, "loss": 3.0, "seconds": 2.0}


@pytest.fixture
def job(tmp_path):
    (run, *_) = tiny.study("texts").runs
    return Job(run, "tiny", tmp_path / run.run_id)


def test_a_run_is_told_of_from_its_begin_to_its_end(job):
    """Nothing twice, and each event as its worker would tell it."""
    events: list[Event] = []
    follower = Follower(events.append)

    def look() -> list[Event]:
        before = len(events)
        follower.look([job])
        follower.look([job])
        return events[before:]

    metrics, run_id = job.folder / record.METRICS, job.run.run_id
    assert look() == []
    record.write_json(job.folder / record.CONFIG, {})
    assert look() == [Event(run_id, "compiling")]
    record.append_rows(metrics, [ROW])
    assert look() == [Event(run_id, "training", 8, 3.0, math.nan)]
    record.append_rows(metrics, [{"step": 8, "tokens": 512, "valid_loss": 3.5}])
    assert look() == []
    record.append_rows(metrics, [{**ROW, "step": 16, "tokens": 1024, "seconds": 2.5, "loss": None}])
    assert look() == [Event(run_id, "training", 16, math.nan, 1024.0)]
    record.write_json(job.folder / record.SUMMARY, {"status": Status.COMPLETED})
    assert look() == [Event(run_id, Status.COMPLETED, 16)]
    assert look() == []


def test_only_the_end_of_a_long_record_is_read(job):
    """What earlier calls did is told as compiling; a torn or damaged line is passed over."""
    events: list[Event] = []
    record.write_json(job.folder / record.CONFIG, {})
    metrics, run_id = job.folder / record.METRICS, job.run.run_id
    rows = [{**ROW, "step": 8 * k, "tokens": 512 * k, "seconds": k / 2} for k in range(1, 2000)]
    record.append_rows(metrics, rows)
    with metrics.open("a") as file:
        file.write('{"step": 1, "lo{"}\n{"step": 16000, "lo')
    Follower(events.append).look([job])
    last = 8 * 1999
    assert events == [
        Event(run_id, "compiling", last),
        Event(run_id, "training", last, 3.0, 1024.0),
    ]


def test_an_earlier_failure_is_not_told_and_the_next_one_is(job):
    events: list[Event] = []
    follower, run_id = Follower(events.append), job.run.run_id
    record.write_json(job.folder / record.CONFIG, {})
    record.write_json(job.folder / record.SUMMARY, {"status": Status.FAILED})
    follower.pass_over_failures([job])
    follower.look([job])
    assert events == []
    (job.folder / record.SUMMARY).unlink()
    follower.look([job])
    record.write_json(job.folder / record.SUMMARY, {"status": Status.FAILED})
    follower.look([job])
    assert events == [Event(run_id, "compiling"), Event(run_id, Status.FAILED)]
