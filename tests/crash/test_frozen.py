"""A worker that stood still until another had taken its run over, and then woke up."""

from __future__ import annotations

import os
import time

import pytest
import tiny

from experiments import record
from experiments.launchers import _worker as worker
from experiments.record import Status
from experiments.runs import claim
from experiments.runs.checksums import SEAL, is_sealed

# the phase at which it stands still, and how far the other worker comes meanwhile
MOMENTS = [
    ("compiling", Status.COMPLETED),
    ("training", Status.COMPLETED),
    ("training", Status.STARTED),
    ("evaluating", Status.COMPLETED),
]


def contents(folder):
    """Of every file; a seal tells of the files beside it, whoever writes it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize(("phase", "reached"), MOMENTS)
def test_worker_that_wakes_up_after_a_take_over_writes_nothing(corpus, tmp_path, phase, reached):
    job, events, after = tiny.job(tmp_path), [], []

    def train(watch, interrupted=lambda: False):
        worker.attend((job,), corpus, watch, interrupted)

    def freeze(event):
        events.append(event)
        if event.phase == phase and not after:
            after.append({})  # once
            while not all(map(is_sealed, job.folder.glob("checkpoints/*"))):
                time.sleep(0.01)  # a worker that stands still saves nothing
            os.utime(job.folder / "claim.1", (0, 0))  # not heard of for long
            others = []
            train(others.append, lambda: reached is Status.STARTED)
            assert others[-1].phase is reached
            after[0] = contents(job.folder)

    train(freeze)
    assert events[-1].phase is reached
    assert contents(job.folder) == after[0]
    assert record.run_status(job.folder) is reached
    assert not claim.is_claimed(job.folder)


def test_error_that_came_of_a_take_over_is_not_recorded(corpus, tmp_path):
    job, events, after = tiny.job(tmp_path), [], []

    def lose_a_file(population, corpora, watch, interrupted):
        os.utime(job.folder / "claim.1", (0, 0))
        worker.attend((job,), corpus, lambda event: None, lambda: False)
        after.append(contents(job.folder))
        raise FileNotFoundError("moved aside by the other worker")

    worker.attend((job,), corpus, events.append, lambda: False, lose_a_file)
    assert events[-1].phase is Status.COMPLETED
    assert [contents(job.folder)] == after
