from __future__ import annotations

import math
import os
import platform
import time

import pytest
import records
import tiny

from experiments import record
from experiments.record import Status
from experiments.runs.claim import take
from experiments.runs.job import Event, Job
from experiments.runs.watch import Follower

ROW = records.training(8, 3.0, 2.0, tokens=512)


@pytest.fixture
def job(tmp_path):
    (run, *_) = tiny.study("texts").runs
    return Job(run, "tiny", tmp_path / run.run_id)


def test_events_of_a_run_from_its_begin_to_its_end(job):
    """No event comes twice, and each is the one that its worker would send."""
    events: list[Event] = []
    follower = Follower(events.append)

    def look() -> list[Event]:
        before = len(events)
        follower.look([job])
        follower.look([job])
        return events[before:]

    metrics, run_id = job.folder / record.METRICS, job.run.run_id
    assert look() == []
    record.write(job.folder, records.run_record())
    assert look() == [Event(run_id, "compiling")]
    record.append_rows(metrics, [ROW])
    assert look() == [Event(run_id, "training", 8, 3.0, math.nan)]
    record.append_rows(metrics, [records.validation(8, 3.5, 512)])
    assert look() == []
    record.append_rows(metrics, [records.training(16, None, 2.5, 1024)])
    assert look() == [Event(run_id, "training", 16, math.nan, 1024.0)]
    record.write(job.folder, records.run_summary())
    assert look() == [Event(run_id, Status.COMPLETED, 16)]
    assert look() == []


def test_only_the_end_of_a_long_record_is_read(job):
    """Phases of earlier calls come as compiling; torn and damaged lines are skipped."""
    events: list[Event] = []
    record.write(job.folder, records.run_record())
    metrics, run_id = job.folder / record.METRICS, job.run.run_id
    rows = [records.training(8 * k, 3.0, k / 2, 512 * k) for k in range(1, 2000)]
    record.append_rows(metrics, rows)
    with metrics.open("a") as file:
        file.write('{"step": 1, "lo{"}\n{"step": 16000, "lo')
    Follower(events.append).look([job])
    last = 8 * 1999
    assert events == [
        Event(run_id, "compiling", last),
        Event(run_id, "training", last, 3.0, 1024.0),
    ]


def test_an_earlier_failure_gives_no_event_and_the_next_one_does(job):
    events: list[Event] = []
    follower, run_id = Follower(events.append), job.run.run_id
    record.write(job.folder, records.run_record())
    record.write(job.folder, records.run_summary(status=Status.FAILED))
    follower.pass_over_failures([job])
    follower.look([job])
    assert events == []
    (job.folder / record.SUMMARY).unlink()
    follower.look([job])
    record.write(job.folder, records.run_summary(status=Status.FAILED))
    follower.look([job])
    assert events == [Event(run_id, "compiling"), Event(run_id, Status.FAILED)]


def test_waiting_is_told_once_for_each_owner(tmp_path):
    """Also where the claim lies in the future, as of a clock that is ahead."""
    events: list[Event] = []
    follower = Follower(events.append)
    jobs = [Job(run, "tiny", tmp_path / run.run_id) for run in tiny.study("texts").runs]
    follower.wait(jobs)
    assert events == []
    for job in jobs[:2]:
        take(job.folder)
        os.utime(job.folder / "claim.1", (time.time() + 86400,) * 2)
    follower.wait(jobs)
    follower.wait(jobs)
    (event,) = events
    assert event.phase is Status.STARTED
    assert event.note.startswith(f"waiting for run {jobs[0].run.run_id} and 1 more: held by ")
    assert f"process {os.getpid()} on {platform.node()}, last heard 86" in event.note
    assert " s in the future; " in event.note
    assert "\n" not in event.note
