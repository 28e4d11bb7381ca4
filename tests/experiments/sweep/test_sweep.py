from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import records
import tiny

from experiments import data, record
from experiments.config.overrides import override
from experiments.devices.slot import Slot
from experiments.launchers import local
from experiments.launchers.local import Local
from experiments.plan.run import Continued, Run
from experiments.plan.study import Study
from experiments.record import PredictionRecord, RunSummary, Status, StudyPart, StudyPlan
from experiments.runs.claim import take
from experiments.runs.job import Event, Job
from experiments.sweep.collapse import alarms
from experiments.sweep.sweep import Standing, Sweep, bind, run_sweep
from experiments.training import trainer
from experiments.training.populations.grouping import signature
from scaling.common.errors import UserError


def predict(bound: Sweep, *run_ids: str) -> None:
    quantities = {run_id: {"loss": 1.0} for run_id in run_ids}
    prediction = PredictionRecord(fitted_on=(), written="today", quantities=quantities)
    record.write(bound.folder, prediction)


def copy(bound: Sweep, folder: Path) -> Sweep:
    return replace(bound, folder=folder)


@pytest.fixture
def handed_out(monkeypatch):
    """The jobs and slots that `run_sweep` hands out."""
    found: list[tuple[list[Job], list[Slot]]] = []

    def train_all(populations, slots, watch):
        found.append(([job for population in populations for job in population], list(slots)))

    monkeypatch.setattr(local, "train_all", train_all)
    return found


def test_every_run_is_trained_and_a_diverged_one_stops_no_other(swept):
    bound, events = swept
    fit = bound.study.part(StudyPart.FIT)
    assert [bound.status(run) for run in fit] == ["completed", "diverged", "completed"]
    last = {event.run_id: event.phase for event in events}
    assert last == {run.run_id: bound.status(run) for run in fit}
    assert [bound.status(run) for run in bound.study.part(StudyPart.HELD_OUT)] == [Status.MISSING]


def test_study_file_is_the_plan_of_all_runs(swept):
    bound, _ = swept
    plan, study = record.read(bound.folder, StudyPlan), bound.study
    assert (plan.name, plan.question, plan.law) == ("tiny", "How?", "chinchilla")
    assert (plan.loss, plan.params, plan.tokens) == ("loss_per_byte", "params_total", "tokens")
    assert plan.settings == {}
    (corpus,) = bound.corpora.opened()
    assert plan.corpora == {corpus.fingerprint: corpus.card()}
    assert [(run.run_id, run.part, run.rung, run.label) for run in plan.runs] == [
        (run.run_id, run.part, run.rung, run.label) for run in study.runs
    ]
    assert plan.runs[0].accounting == study.runs[0].ledger


def test_settings_of_the_study_are_in_its_file(swept, tmp_path, handed_out):
    bound = copy(swept[0], tmp_path)
    study = replace(
        bound.study,
        runs=tuple(replace(run, label="with gains") for run in bound.study.runs),
        published={"with gains": "no"},
        settings={"seed": 0, "model.ffn": "32"},
    )
    run_sweep(replace(bound, study=study), StudyPart.FIT, Local(1))
    plan = record.read(tmp_path, StudyPlan)
    assert plan.settings == {"seed": 0, "model.ffn": "32"}
    assert plan.published == {"with gains": "no"}
    assert {run.label for run in plan.runs} == {"with gains"}


def test_second_call_trains_nothing(swept, handed_out):
    bound, _ = swept
    files = sorted(bound.folder.glob("*/*.json*"))
    before = [file.stat().st_mtime_ns for file in files]
    run_sweep(bound, StudyPart.FIT, Local(2))
    assert handed_out == []
    assert [file.stat().st_mtime_ns for file in files] == before
    assert len(files) == 9


def test_libraries_print_to_the_log_and_not_to_the_terminal(swept, tmp_path, cache, capfd):
    bound = copy(swept[0], tmp_path)
    run_sweep(
        replace(bound, study=replace(bound.study, runs=bound.study.runs[:1])),
        StudyPart.FIT,
        Local(1),
    )
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "workers.log").exists()


def test_run_that_another_sweep_has_is_followed_to_its_end(
    swept, tmp_path, handed_out, monkeypatch
):
    bound = copy(swept[0], tmp_path)
    bound = replace(bound, study=replace(bound.study, runs=bound.study.runs[:1]))
    (run,) = bound.study.runs
    events: list[Event] = []

    def end_it(_: float) -> None:
        record.write(tmp_path / run.run_id, records.run_summary())

    monkeypatch.setattr(time, "sleep", end_it)
    with take(tmp_path / run.run_id):
        run_sweep(bound, StudyPart.FIT, Local(1), events.append)
    waits, *events = events
    assert waits.note.startswith(f"waiting for run {run.run_id}: held by process ")
    assert events == [Event(run.run_id, Status.COMPLETED)]
    assert handed_out == []


def test_held_out_runs_wait_for_their_prediction(swept, handed_out):
    bound, _ = swept
    (held_out,) = bound.study.part(StudyPart.HELD_OUT)
    with pytest.raises(UserError, match=r"no prediction for .*windtunnel predict") as caught:
        run_sweep(bound, StudyPart.HELD_OUT, Local(1))
    assert held_out.run_id in str(caught.value)
    predict(bound, "another")
    with pytest.raises(UserError, match=r"it does not predict the held-out run"):
        run_sweep(bound, StudyPart.HELD_OUT, Local(1))
    elsewhere = copy(bound, bound.folder / "elsewhere")
    with pytest.raises(UserError, match="no prediction"):
        run_sweep(elsewhere, StudyPart.HELD_OUT, Local(1))
    assert not elsewhere.folder.exists()  # a refused command leaves nothing behind
    assert handed_out == []


def test_held_out_run_records_the_prediction_as_it_stood(swept):
    """Trained for real, by the program of the runs that were fitted."""
    bound, _ = swept
    (held_out,) = bound.study.part(StudyPart.HELD_OUT)
    predict(bound, held_out.run_id)
    text = (bound.folder / record.PREDICTION).read_bytes()
    assert {signature(run.config) for run in bound.study.runs} == {signature(held_out.config)}
    run_sweep(bound, StudyPart.HELD_OUT, Local(2))
    summary = record.read(bound.folder / held_out.run_id, RunSummary)
    assert (summary.status, summary.part) == ("completed", "held_out")
    assert summary.prediction_sha256 == hashlib.sha256(text).hexdigest()


def test_most_compute_first_and_no_more_workers_than_runs(swept, tmp_path, handed_out):
    bound = copy(swept[0], tmp_path)
    budgets = (100, 3000, 1000)
    runs = [
        replace(run, config=tiny.override(run.config, [f"budget.tokens={tokens}"]))
        for run, tokens in zip(bound.study.runs, budgets, strict=False)
    ]
    run_sweep(replace(bound, study=replace(bound.study, runs=tuple(runs))), StudyPart.FIT, Local(8))
    ((jobs, slots),) = handed_out
    assert [job.run.config.science.budget.tokens for job in jobs] == [3000, 1000, 100]
    assert len(slots) == 3


def test_failed_run_is_tried_again_and_an_interrupted_one_goes_on(swept, tmp_path, handed_out):
    bound = copy(swept[0], tmp_path)
    done, failed, started = bound.study.part(StudyPart.FIT)
    record.write(tmp_path / done.run_id, records.run_summary())
    summary = records.run_summary(status="failed", message="no memory")
    record.write(tmp_path / failed.run_id, summary)
    record.write(tmp_path / started.run_id, records.run_record())
    run_sweep(bound, StudyPart.FIT, Local(1))
    ((jobs, _),) = handed_out
    assert {job.run.run_id for job in jobs} == {failed.run_id, started.run_id}
    assert bound.failure(failed) == f"{tmp_path}/{failed.run_id}/summary.json: no memory"


def test_a_run_tells_that_its_parent_failed(swept, tmp_path):
    bound = copy(swept[0], tmp_path)
    parent = bound.study.runs[0]
    child, grandchild = (
        Run(override(parent.config, [f"budget.tokens={tokens}"]), 0) for tokens in (12800, 25600)
    )
    child = replace(child, beginning=Continued(parent, 1))
    grandchild = replace(grandchild, beginning=Continued(child, 1))
    planned = replace(bound.study, runs=(parent, child, grandchild))
    bound = replace(bound, study=planned)
    assert bound.remarks(bound.standings()) == []
    summary = records.run_summary(status="failed", message="no memory")
    record.write(tmp_path / parent.run_id, summary)
    waits = f"cannot begin, for its parent {parent.run_id} failed"
    assert bound.remarks(bound.standings()) == [
        f"{tmp_path}/{parent.run_id}/summary.json: no memory",
        *(f"{tmp_path}/{run.run_id}: {waits}" for run in (child, grandchild)),
    ]


def test_a_table_of_states_reads_no_finished_run_twice(swept, monkeypatch):
    bound = swept[0]
    standings = bound.standings()
    assert set(standings.values()) <= {Standing.DONE, Standing.DIVERGED, Standing.PLANNED}
    ended = replace(
        bound.study, runs=tuple(r for r in bound.study.runs if standings[r.run_id].is_finished)
    )
    assert len(ended.runs) > 1
    monkeypatch.setattr(record, "run_status", None)  # to read one is an error
    bound = replace(bound, study=ended)
    assert alarms(bound, standings) == bound.remarks(standings) == []


def test_summary_of_another_version_is_one_line(swept, tmp_path, handed_out):
    bound = copy(swept[0], tmp_path)
    path = tmp_path / bound.study.runs[0].run_id / record.SUMMARY
    path.parent.mkdir()
    path.write_text('{"schema": 7}')
    with pytest.raises(UserError, match=r"record schema 7, this version reads 2"):
        run_sweep(bound, StudyPart.FIT, Local(1))


def test_equal_runs_are_refused(texts, cache, tmp_path):
    study = tiny.study(texts, rates=(1e-3, 1e-3))
    with pytest.raises(
        UserError,
        match=r"runs 1 and 2 of the study are the same science: they agree in every field",
    ):
        bind(study, tmp_path, cache)


def test_binding_writes_nothing_into_the_folder(texts, cache, tmp_path):
    told: list[str] = []
    bind(tiny.study(texts), tmp_path / "out", cache, told.append)
    assert not (tmp_path / "out").exists()
    assert "60 documents" in told[-1]


def test_each_run_trains_on_the_data_that_it_names(tmp_path, cache):
    """Two corpora and a mixture of them, in one program; the mixture as if it trained alone."""
    a, b = (tiny.write_texts(tmp_path / name, seed=k) for k, name in enumerate("ab"))
    both = [f"data.corpora=files:{a},files:{b}", "data.weights=0.75,0.25"]
    mixed = override(tiny.config(), ["data.source=stdlib", *both])
    configs = [tiny.config(texts=a), tiny.config(texts=b), mixed]
    study = Study("tiny", "Which text?", tuple(Run(config, rung=0) for config in configs), law=None)
    bound = bind(study.override(["execution.runs_per_program=3"]), tmp_path / "out", cache)
    assert len(bound.corpora.opened()) == 2
    run_sweep(bound, StudyPart.FIT, Local(1))
    first, second = (corpus.fingerprint for corpus in bound.corpora.opened())
    found = [record.read(bound.folder / r.run_id, RunSummary) for r in bound.study.runs]
    assert [one.environment.members for one in found] == [3, 3, 3]
    names = [one.science["data"]["fingerprint"] for one in found]
    assert names == [first, second, f"{first}+{second}"]
    tokens = [one.metrics.tokens_by_source for one in found]
    assert tokens[:2] == [{first: 3200}, {second: 3200}]
    assert tokens[2] == {first: 2400, second: 800}
    plan = record.read(bound.folder, StudyPlan)
    assert plan.corpora.keys() == {first, second}
    two = found[2].metrics
    assert two.weights_by_source == {first: 0.75, second: 0.25}
    assert two.losses_by_source.keys() == {first, second}
    assert np.mean(list(two.losses_by_source.values())) == pytest.approx(two.loss)
    last = next(record.newest_rows(bound.folder / bound.study.runs[2].run_id / record.METRICS))
    assert last.metrics == {"valid_loss": two.loss} | {
        f"valid_loss.{name}": loss for name, loss in two.losses_by_source.items()
    }
    losses = [one.metrics.loss for one in found]
    assert len({round(loss, 3) for loss in losses}) == 3
    alone = Job(bound.study.runs[2], "tiny", tmp_path / "alone")
    trainer.train(alone, data.Corpora(cache))
    summary = record.read(alone.folder, RunSummary)
    assert losses[2] == pytest.approx(summary.metrics.loss, rel=1e-5)
