from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import records
import tiny

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.identity import identity
from experiments.record import RunRecord, RunSummary, Status
from experiments.runs.checkpoint import Checkpoints
from experiments.runs.checksums import SEAL
from experiments.runs.job import Event
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from experiments.training.trainer import settle, train
from scaling.common.errors import UserError

TIMES = "evaluation.times=3"  # validation at steps 17 and 33, rounded up to a dispatch, and 50


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    """The record of the tiny run, never interrupted."""
    job = tiny.job(tmp_path_factory.mktemp("finished"), TIMES)
    assert train(job, corpus) is Status.COMPLETED
    return job


def rows(folder: Path) -> list[dict[str, float]]:
    """The trajectory without its wall times."""
    return records.means(folder)


def summary(folder: Path):
    return record.read(folder, RunSummary)


def final_state(job):
    config = job.run.config
    like = programs(recipe(config)).init(hypers(config.science))
    with Checkpoints(job.folder / record.CHECKPOINTS) as checkpoints:
        state = checkpoints.restore(like)
    assert int(state.step) == tiny.STEPS
    return state


def assert_same_run(job, finished):
    """Bit by bit: the rows, the final loss, and the state."""
    assert rows(job.folder) == rows(finished.folder)
    ours, theirs = summary(job.folder).numbers(), summary(finished.folder).numbers()
    for name in ("loss", "train_loss", "tokens", "epochs"):
        assert ours[name] == theirs[name], name
    jax.tree.map(np.testing.assert_array_equal, final_state(job), final_state(finished))


class Interruption:
    """Says stop at the nth time that it is asked."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def test_config_file_is_the_plan(finished):
    found = record.read(finished.folder, RunRecord)
    config = finished.run.config
    assert found.run_id == finished.folder.name == identity(config.science)
    assert (found.study, found.part, found.rung, found.parents) == ("tiny", "fit", 0, ())
    assert found.science == to_dict(config.science)
    assert found.execution == to_dict(config.execution)
    assert found.accounting == finished.run.ledger
    assert sum(found.params_by_part.values()) == found.accounting["params_total"]
    assert sum(found.flops_by_part.values()) == pytest.approx(found.accounting["flops_model"])


def test_summary_says_what_was_measured(finished, corpus):
    found = summary(finished.folder)
    config = record.read(finished.folder, RunRecord)
    for name in RunRecord.__struct_fields__:
        assert getattr(found, name) == getattr(config, name), name
    assert (found.status, found.message, found.diverged_step) == (Status.COMPLETED, "", None)
    assert found.prediction_sha256 is None
    assert found.environment.jax == jax.__version__
    assert found.environment.device == "cpu cpu"
    metrics = found.metrics
    assert 2 < metrics.loss < 5.5
    assert metrics.loss_per_byte == metrics.loss  # byte tokens
    assert metrics.bits_per_byte == pytest.approx(metrics.loss / math.log(2))
    *_, trained, validated = rows(finished.folder)
    assert (metrics.train_loss, metrics.loss) == (trained["loss"], validated["valid_loss"])
    assert (metrics.steps, metrics.tokens_trained, metrics.batch_tokens) == (50, 3200, 64)
    assert metrics.epochs == pytest.approx(3200 / corpus.only.corpora[0].train.tokens, rel=0.01)
    assert metrics.tokens_by_source == {corpus.only.fingerprint: 3200}
    assert metrics.epochs_by_source == {corpus.only.fingerprint: metrics.epochs}
    assert metrics.wall_seconds > metrics.first_dispatch_seconds > 0
    assert metrics.tokens_per_second == pytest.approx(3200 / metrics.wall_seconds)
    assert metrics.energy_joules is None  # nothing here measures it
    assert finished.run.ledger.items() <= found.numbers().items()


def test_training_learns(finished):
    losses = [row["loss"] for row in rows(finished.folder) if "loss" in row]
    assert losses[-1] < losses[0] - 1


def test_rows_are_one_per_dispatch_and_one_per_evaluation(finished):
    found = [
        (row["step"], *sorted(row.keys() - {"step", "tokens"})) for row in rows(finished.folder)
    ]
    training = ("grad_norm", "learning_rate", "loss", "z_loss")
    evaluation = ("valid_loss",)
    assert found == [
        (8, *training),
        (16, *training),
        (24, *training),
        (24, *evaluation),
        (32, *training),
        (40, *training),
        (40, *evaluation),
        (48, *training),
        (50, *training),
        (50, *evaluation),
    ]
    assert all(row["tokens"] == 64 * row["step"] for row in rows(finished.folder))


@pytest.mark.parametrize("nth", [1, 3, 7])
def test_interrupted_and_resumed_is_bit_for_bit_the_same(tmp_path, corpus, finished, nth):
    """At the first dispatch, at one that also validates, and at the last."""
    job = tiny.job(tmp_path, TIMES)
    assert train(job, corpus, interrupted=Interruption(nth)) is Status.STARTED
    assert record.run_status(job.folder) is Status.STARTED
    assert rows(job.folder)[-1]["step"] == min(8 * nth, 50)
    assert rows(job.folder) == rows(finished.folder)[: len(rows(job.folder))]
    assert train(job, corpus) is Status.COMPLETED
    assert_same_run(job, finished)


def test_interrupted_at_every_dispatch_is_the_same(tmp_path, corpus, finished):
    job = tiny.job(tmp_path, TIMES)
    calls = 0
    while train(job, corpus, interrupted=lambda: True) is Status.STARTED:
        calls += 1
        assert calls < 8, "it makes no headway"
    assert calls == 7
    assert_same_run(job, finished)


def test_saving_at_every_dispatch_never_catches_a_buffer_in_flight(tmp_path, corpus, finished):
    """Each save writes on while the next dispatches take the state's buffers for their own."""
    job = tiny.job(tmp_path, TIMES, "execution.checkpoint_seconds=0.0")
    assert job.folder.name == finished.folder.name
    assert train(job, corpus) is Status.COMPLETED
    assert_same_run(job, finished)


def kept(job) -> list[int]:
    """The steps of a run's checkpoints."""
    return sorted(int(path.name) for path in (job.folder / record.CHECKPOINTS).iterdir())


@pytest.mark.parametrize("nth", [0, 2, 3])
def test_permanent_checkpoints_outlive_the_run_and_change_nothing(tmp_path, corpus, finished, nth):
    """Never interrupted; and interrupted at a permanent step, and at the one after it."""
    job = tiny.job(tmp_path, TIMES, "execution.permanent=16,40", "execution.keep=1")
    if nth:
        assert train(job, corpus, interrupted=Interruption(nth)) is Status.STARTED
    assert train(job, corpus) is Status.COMPLETED
    assert kept(job) == [16, 40, 50]
    assert all((job.folder / record.CHECKPOINTS / str(n) / SEAL).exists() for n in (16, 40, 50))
    assert_same_run(job, finished)


def test_crash_loses_only_what_was_not_saved(tmp_path, corpus, finished):
    job = tiny.job(tmp_path, TIMES, "execution.checkpoint_seconds=0.0")

    def crash(event: Event) -> None:
        if event.step == 32:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(job, corpus, watch=crash)
    with (job.folder / record.METRICS).open("a") as file:
        file.write('{"step": 40, "tok')
    steps: list[int] = []
    assert train(job, corpus, watch=lambda event: steps.append(event.step)) is Status.COMPLETED
    assert 0 < next(step for step in steps if step) < 32
    assert_same_run(job, finished)


@pytest.mark.parametrize(
    ("assignment", "step"), [("optimizer.learning_rate=1e30", 2), ("init_scale=1e30", 1)]
)
def test_loss_that_leaves_the_numbers_is_recorded_as_diverged(tmp_path, corpus, assignment, step):
    job = tiny.job(tmp_path, assignment)
    events: list[Event] = []
    assert train(job, corpus, watch=events.append) is Status.DIVERGED
    assert (events[-1].phase, events[-1].step) == (Status.DIVERGED, step)
    found = summary(job.folder)
    assert (found.status, found.diverged_step) == (Status.DIVERGED, step)
    assert found.message == f"the loss was not finite at step {step}"
    measured = found.metrics
    losses = (measured.loss, measured.loss_per_byte, measured.train_loss, measured.bits_per_byte)
    assert losses == (None,) * 4
    assert found.accounting["params_total"] > 0
    for file in (record.CONFIG, record.METRICS, record.SUMMARY):
        text = (job.folder / file).read_text()
        assert "NaN" not in text
        assert "Infinity" not in text


def test_divergence_late_in_a_run_keeps_the_rows_before_it(tmp_path, corpus, monkeypatch):
    """The state turns bad at step 20; the rows of the dispatches before it stay."""
    job = tiny.job(tmp_path)
    chunk = programs(recipe(job.run.config)).chunk

    def poisoned(state, leaves, batches):
        state, metrics = chunk(state, leaves, batches)
        if int(state.step) == 24:
            metrics = {**metrics, "diverged": metrics["diverged"].at[4:].set(True)}
        return state, metrics

    patched = replace(programs(recipe(job.run.config)), chunk=poisoned)
    monkeypatch.setattr("experiments.training.trainer.programs", lambda recipe, members=1: patched)
    assert train(job, corpus) is Status.DIVERGED
    assert [row["step"] for row in rows(job.folder)] == [8, 16]
    found = summary(job.folder)
    assert found.diverged_step == 20
    assert found.metrics.tokens_per_second == pytest.approx(16 * 64 / found.metrics.wall_seconds)


def test_validation_that_is_not_finite_is_divergence_too(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(
        "experiments.training.populations.trained.Trained.loss", lambda *_: math.nan
    )
    job = tiny.job(tmp_path)
    assert train(job, corpus) is Status.DIVERGED
    assert summary(job.folder).diverged_step == 50
    assert summary(job.folder).metrics.loss is None


def test_how_steps_are_dispatched_does_not_change_the_result(tmp_path, corpus, finished):
    job = tiny.job(tmp_path, TIMES, "execution.steps_per_dispatch=64", "execution.microbatch=1")
    assert job.folder.name == finished.folder.name
    assert train(job, corpus) is Status.COMPLETED
    ours, theirs = (summary(j.folder).metrics.loss for j in (job, finished))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert [row["step"] for row in rows(job.folder)] == [50, 50]


def test_events_tell_the_story_in_order(tmp_path, corpus):
    job = tiny.job(tmp_path)
    events: list[Event] = []
    train(job, corpus, watch=events.append, interrupted=Interruption(2))
    assert [(event.phase, event.step) for event in events] == [
        ("compiling", 0),
        ("compiling", 0),
        ("training", 8),
        ("training", 16),
        (Status.STARTED, 16),
    ]
    events.clear()
    train(job, corpus, watch=events.append)
    assert [(event.phase, event.step) for event in events[:2]] == [
        ("compiling", 0),
        ("compiling", 16),
    ]
    assert [event.step for event in events if event.phase == "training"] == [24, 32, 40, 48, 50]
    assert [event.phase for event in events[-2:]] == ["evaluating", Status.COMPLETED]
    assert events[-1].loss == summary(job.folder).metrics.loss
    assert {event.run_id for event in events} == {job.run.run_id}


def test_damaged_checkpoint_costs_a_little_work_and_not_the_result(tmp_path, corpus, finished):
    job = tiny.job(tmp_path, TIMES)
    for nth in (1, 1, 1):
        train(job, corpus, interrupted=Interruption(nth))
    (latest,) = (job.folder / record.CHECKPOINTS).glob("24")
    shutil.rmtree(latest / "state" / "ocdbt.process_0")
    assert train(job, corpus) is Status.COMPLETED
    assert_same_run(job, finished)


def test_run_whose_checkpoints_are_all_damaged_begins_again(tmp_path, corpus, finished):
    job = tiny.job(tmp_path, TIMES)
    train(job, corpus, interrupted=Interruption(1))
    shutil.rmtree(job.folder / record.CHECKPOINTS / "8" / "state")
    notes: list[str] = []
    watch = lambda event: notes.extend([event.note] if event.note else [])  # noqa: E731
    assert train(job, corpus, watch=watch) is Status.COMPLETED
    (note,) = notes
    assert re.search(r"checkpoints/8: state/.* is missing; moved to quarantine\.1", note)
    assert (job.folder / "quarantine.1" / "8").is_dir()
    assert_same_run(job, finished)


def test_three_preemptions_behind_a_damaged_checkpoint_make_progress(tmp_path, corpus, finished):
    """Each saves below the step of the damaged one."""
    job = tiny.job(tmp_path, TIMES)
    train(job, corpus, interrupted=Interruption(1))
    train(job, corpus, interrupted=Interruption(5))
    assert kept(job) == [8, 48]
    (job.folder / record.CHECKPOINTS / "48" / SEAL).write_text("[]")
    for step in (16, 24, 32):
        assert train(job, corpus, interrupted=Interruption(1)) is Status.STARTED
        assert kept(job)[-1] == step
    assert train(job, corpus) is Status.COMPLETED
    assert_same_run(job, finished)


def test_config_of_another_version_is_refused(tmp_path, corpus):
    job = tiny.job(tmp_path)
    job.folder.mkdir()
    (job.folder / record.CONFIG).write_text(json.dumps({"schema": 99}))
    with pytest.raises(UserError, match="record schema 99"):
        train(job, corpus)


AUTO = ("execution.layout.name=auto", "batch.sequences=16")


def test_auto_is_settled_on_the_devices_there_are_and_says_why(monkeypatch, tmp_path):
    job, heard = tiny.job(tmp_path, *AUTO), []
    h200 = SimpleNamespace(device_kind="NVIDIA H200")
    monkeypatch.setattr(jax, "devices", lambda: [h200] * 8)
    settled = settle(job, heard.append)
    layout, microbatch = (
        settled.run.config.execution.layout,
        settled.run.config.execution.microbatch,
    )
    assert layout.name != "auto"
    assert layout.devices == 8
    assert microbatch % layout.batch_ways == 0
    assert settled.run.run_id == job.run.run_id
    assert layout.name.split("_")[0] in heard[0].note
    assert "GiB a device, bound by" in heard[0].note
    assert "next best" in heard[0].note


def test_auto_on_a_device_that_nothing_is_known_of_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing is known of a device 'cpu'; choose a layout by"):
        settle(tiny.job(tmp_path, *AUTO), lambda event: None)


def test_any_other_layout_stays_as_it_is(tmp_path):
    job = tiny.job(tmp_path, "execution.layout.name=fsdp")
    assert settle(job, lambda event: None) is job
