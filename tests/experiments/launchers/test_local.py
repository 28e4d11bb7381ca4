"""Populations handed to a worker, and recorded run by run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny

from experiments import record
from experiments.devices import machine
from experiments.launchers import local
from experiments.launchers.local import Local
from experiments.record import RunSummary, Status, StudyPart
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import run_sweep


def test_populations_are_trained_by_a_worker_and_recorded_run_by_run(swept, tmp_path):
    """Three runs in populations of two, the odd one left over; one member diverges."""
    bound = replace(swept[0], folder=tmp_path)
    together = replace(bound, study=bound.study.override(["execution.runs_per_program=2"]))
    events: list[Event] = []
    run_sweep(together, StudyPart.FIT, Local(1), events.append)
    for run in together.study.part(StudyPart.FIT):
        ours, theirs = (
            record.read(folder / run.run_id, RunSummary) for folder in (tmp_path, swept[0].folder)
        )
        assert ours.status == theirs.status
        assert ours.diverged_step == theirs.diverged_step
        if ours.status is Status.COMPLETED:
            assert ours.metrics.loss == pytest.approx(theirs.metrics.loss, rel=1e-5)
    found = [
        record.read(tmp_path / run.run_id, RunSummary).environment.members
        for run in together.study.part(StudyPart.FIT)
    ]
    assert sorted(found) == [1, 2, 2]
    last = [event.run_id for event in events if isinstance(event.phase, Status)]
    assert sorted(last) == sorted(run.run_id for run in together.study.part(StudyPart.FIT))


def test_a_grid_is_grouped_as_the_device_was_measured(swept, texts, tmp_path, monkeypatch):
    """Eighteen like runs; by the curve two at once cost less than one by one, and four more."""
    asked: list[int] = []

    def curves(wanted, slot):
        asked.extend(most for _, most in wanted)
        return [{1: 1.0, 2: 1.2, 4: 4.1}]

    populations: list[tuple[Job, ...]] = []
    monkeypatch.setattr(local.throughput, "curves", curves)
    monkeypatch.setattr(local, "train_all", lambda found, slots, watch: populations.extend(found))
    study = tiny.study(texts, rates=[i * 1e-4 for i in range(1, 19)])
    bound = replace(swept[0], folder=tmp_path)
    study = study.with_fingerprints(lambda config: bound.corpora.mixture(config).fingerprint)
    monkeypatch.setattr(machine, "platform", lambda: "cpu")
    run_sweep(replace(bound, study=study), StudyPart.FIT, Local(2))
    assert asked == [9]
    assert [len(population) for population in populations] == [2] * 9
