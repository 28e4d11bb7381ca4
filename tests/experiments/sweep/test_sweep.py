from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
import records
import tiny

from experiments import data, record
from experiments.config.overrides import override
from experiments.devices import machine
from experiments.devices.signals import STOP_SIGNALS
from experiments.devices.slot import Slot
from experiments.launchers import _worker as worker
from experiments.launchers import local
from experiments.launchers._pool import train_all
from experiments.launchers.local import Local
from experiments.plan.run import Continued, Run
from experiments.plan.study import Study
from experiments.record import PredictionRecord, RunSummary, Status, StudyPart, StudyPlan
from experiments.runs.claim import take
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import Sweep, bind, run_sweep
from experiments.training import trainer
from experiments.training.populations.grouping import signature
from scaling.common.errors import UserError

# long enough to be caught in the act: thousands of dispatches
LONG = ["budget.tokens=6400000", "data.epochs=400"]


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
    assert bound.remarks() == []
    summary = records.run_summary(status="failed", message="no memory")
    record.write(tmp_path / parent.run_id, summary)
    waits = f"cannot begin, for its parent {parent.run_id} failed"
    assert bound.remarks() == [
        f"{tmp_path}/{parent.run_id}/summary.json: no memory",
        *(f"{tmp_path}/{run.run_id}: {waits}" for run in (child, grandchild)),
    ]


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


# --- processes that are stopped, killed, or fail ---


@pytest.fixture
def long(swept, tmp_path):
    """The same study, too long to end by itself here."""
    bound = copy(swept[0], tmp_path)
    return replace(bound, study=bound.study.override(LONG))


def on_training(act):
    """A watcher that acts at every row of training."""

    def watch(event: Event) -> None:
        if event.phase == "training":
            act()

    return watch


def test_interrupt_saves_what_was_done_and_leaves_nobody_behind(long):
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    sent: list[None] = []

    def once() -> None:
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    run_sweep(long, StudyPart.FIT, Local(1), on_training(once))
    assert sent
    assert multiprocessing.active_children() == []
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    (started,) = (run for run in long.study.runs if long.status(run) is Status.STARTED)
    steps = [row.step for row in record.read_rows(long.folder / started.run_id / record.METRICS)]
    (checkpoint,) = (long.folder / started.run_id / record.CHECKPOINTS).iterdir()
    assert steps[-1] == int(checkpoint.name) > 0


def test_second_interrupt_ends_at_once(long):
    """The worker is frozen first, so that it cannot obey in time."""
    rescues: list[threading.Timer] = []

    def twice() -> None:
        (child,) = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGSTOP)
        rescues.append(threading.Timer(60, child.kill))  # or a failure of this test would hang
        rescues[0].daemon = True
        rescues[0].start()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(long, StudyPart.FIT, Local(1), on_training(twice))
    assert rescues[0].is_alive(), "nobody waited for the worker"
    rescues[0].cancel()
    assert multiprocessing.active_children() == []


def kill_when_training(times: int, victims: list[str]):
    """A watcher that kills the worker of whichever run trains, so many times."""

    def watch(event: Event) -> None:
        if event.phase == "training" and len(victims) < times:
            victims.append(event.run_id)
            (child,) = multiprocessing.active_children()
            os.kill(child.pid, signal.SIGKILL)
            child.join()

    return watch


def test_killed_worker_is_replaced_and_its_run_goes_on(swept, tmp_path):
    bound, victims, notes = copy(swept[0], tmp_path), [], []
    kill = kill_when_training(2, victims)

    def watch(event: Event) -> None:
        notes.extend([event.note] if event.note else [])
        kill(event)

    run_sweep(bound, StudyPart.FIT, Local(1), watch)
    fit = bound.study.part(StudyPart.FIT)
    assert [bound.status(run) for run in fit] == ["completed", "diverged", "completed"]
    assert notes == [f"{run_id}: its worker ended (SIGKILL)" for run_id in victims]
    assert multiprocessing.active_children() == []


def test_run_whose_worker_is_always_killed_is_recorded_as_failed(swept, tmp_path):
    """A watcher kills at its every word, as want of memory would; the others are trained."""
    bound, doomed = copy(swept[0], tmp_path), swept[0].study.runs[0].run_id

    def watch(event: Event) -> None:
        if event.run_id == doomed and not isinstance(event.phase, Status):
            for child in multiprocessing.active_children():
                child.kill()
                child.join()

    run_sweep(bound, StudyPart.FIT, Local(1), watch)
    fit = bound.study.part(StudyPart.FIT)
    assert [bound.status(run) for run in fit] == ["failed", "diverged", "completed"]
    assert "its worker ended 3 times (SIGKILL)" in bound.failure(fit[0])
    run_sweep(bound, StudyPart.FIT, Local(1))
    assert [bound.status(run) for run in fit] == ["completed", "diverged", "completed"]


def test_interrupt_while_compiling_does_not_wait_for_the_compiler(long, capsys):
    """The worker is frozen: one that compiles cannot hear, and has nothing to save."""
    frozen: list[int] = []

    def watch(event: Event) -> None:
        if event.phase == "compiling" and not frozen:
            (child,) = multiprocessing.active_children()
            frozen.append(child.pid)
            os.kill(child.pid, signal.SIGSTOP)
            rescue = threading.Timer(60, child.kill)  # or a failure of this test would hang
            rescue.daemon = True
            rescue.start()
            os.kill(os.getpid(), signal.SIGTERM)

    start = time.monotonic()
    run_sweep(long, StudyPart.FIT, Local(1), watch)
    assert frozen
    assert "there is nothing to save" in capsys.readouterr().err
    assert time.monotonic() - start < 50
    assert multiprocessing.active_children() == []


def test_fault_of_ours_in_a_worker_points_to_its_trace(tmp_path, cache):
    log = tmp_path / "workers.log"
    slot = Slot(cache, log)
    broken = SimpleNamespace(run_id="broken")
    with pytest.raises(UserError, match=r"a worker failed; the end of workers\.log"):
        train_all([(Job(broken, "tiny", tmp_path),)], [slot], lambda event: None)  # type: ignore[arg-type]
    assert "AttributeError" in log.read_text()


def test_error_of_the_machine_is_recorded_and_the_sweep_goes_on(swept, tmp_path, monkeypatch):
    bound = copy(swept[0], tmp_path)
    job = bound.job(bound.study.runs[0])

    def fail(*args, **kwargs):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")

    monkeypatch.setattr(trainer, "train_population", fail)
    events: list[Event] = []
    worker.attend((job,), bound.corpora, events.append, lambda: False)
    assert [event.phase for event in events] == [Status.FAILED]
    assert bound.status(job.run) is Status.FAILED
    assert bound.failure(job.run).endswith("RESOURCE_EXHAUSTED: Out of memory")
    assert record.read(job.folder, RunSummary).environment.device is None


# --- populations ---


def test_populations_are_trained_by_workers_and_recorded_run_by_run(swept, tmp_path):
    """Three runs in populations of two, the odd one left over; one member diverges."""
    bound = copy(swept[0], tmp_path)
    together = replace(bound, study=bound.study.override(["execution.runs_per_program=2"]))
    events: list[Event] = []
    run_sweep(together, StudyPart.FIT, Local(2), events.append)
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


def test_population_that_is_too_much_for_the_machine_is_tried_in_halves(
    swept, tmp_path, monkeypatch
):
    bound = copy(swept[0], tmp_path)
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


# --- data ---


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
    losses = [one.metrics.loss for one in found]
    assert len({round(loss, 3) for loss in losses}) == 3
    alone = Job(bound.study.runs[2], "tiny", tmp_path / "alone")
    trainer.train(alone, data.Corpora(cache))
    summary = record.read(alone.folder, RunSummary)
    assert losses[2] == pytest.approx(summary.metrics.loss, rel=1e-5)
