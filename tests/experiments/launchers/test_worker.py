"""A machine's refusals are recorded or tried in halves; a folder that has gone is told."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import jax
import pytest
import records

from experiments import record
from experiments.devices.slot import Slot
from experiments.launchers import _worker as worker
from experiments.record import RunSummary, Status
from experiments.runs.job import Event
from experiments.training import trainer
from scaling.common.errors import UserError


def test_error_of_the_machine_is_recorded_and_the_sweep_goes_on(swept, tmp_path, monkeypatch):
    bound = replace(swept[0], folder=tmp_path)
    job = bound.job(bound.study.runs[0])

    def fail(*args, **kwargs):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")

    monkeypatch.setattr(trainer, "train_population", fail)
    events: list[Event] = []
    worker.attend((job,), bound.corpora, events.append, lambda: False)
    assert [event.phase for event in events] == ["failing", Status.FAILED]
    assert bound.status(job.run) is Status.FAILED
    assert bound.failure(job.run).endswith("RESOURCE_EXHAUSTED: Out of memory")
    assert record.read(job.folder, RunSummary).environment.device is None


def test_population_that_is_too_much_for_the_machine_is_tried_in_halves(
    swept, tmp_path, monkeypatch
):
    bound = replace(swept[0], folder=tmp_path)
    jobs = tuple(bound.job(run) for run in bound.study.runs[:3])
    tried: list[int] = []

    def fail(population, *args, **kwargs):
        tried.append(len(population))
        if len(population) > 1:
            record.write(jobs[1].folder, records.run_summary())
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(trainer, "train_population", fail)
    worker.attend(jobs, bound.corpora, lambda event: None, lambda: False)
    assert tried == [3, 1, 1]  # the one that had ended in the meantime is left alone
    assert {bound.status(job.run) for job in jobs} == {Status.MISSING, Status.COMPLETED}


def test_study_moved_under_its_worker_is_told_and_not_begun_anew(swept, tmp_path):
    bound, _ = swept
    job = replace(bound.job(bound.study.runs[0]), folder=tmp_path / "study" / "run")

    def move(population, corpora, watch, interrupted):
        (tmp_path / "study").rename(tmp_path / "elsewhere")
        (job.folder / record.CHECKPOINTS).mkdir(parents=True)  # a save that came late
        interrupted()

    with pytest.raises(UserError, match="study: moved or removed while its runs were trained"):
        worker.attend((job,), bound.corpora, lambda event: None, lambda: False, move)
    assert not (job.folder / record.CONFIG).exists()


def test_log_that_cannot_be_written_is_one_line(tmp_path):
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=worker.work, args=(theirs, Slot(tmp_path, tmp_path / "gone" / "workers.log"))
    )
    process.start()
    error = ours.recv()
    process.join()
    assert process.exitcode == 0
    assert str(error).startswith(f"{tmp_path / 'gone' / 'workers.log'}: cannot write (No such file")
