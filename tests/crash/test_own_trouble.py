"""A run's own trouble ends that run: it is recorded in one line, and every other run is trained."""

from __future__ import annotations

import json
import multiprocessing
import resource

import pytest
import records
import tiny
from plugged import plugged

from experiments import record
from experiments.__main__ import main
from experiments.launchers import _worker as worker
from experiments.launchers.local import Local
from experiments.record import AGAIN, RunSummary, Status, StudyPart
from experiments.runs.job import Event
from experiments.sweep.sweep import bind, run_sweep
from experiments.training import trainer
from experiments.training.populations.member import Member
from experiments.training.trainer import train, train_population
from scaling.common.errors import UserError

STUDY = """
import tiny
from experiments.plan.run import Run
from experiments.plan.study import Study

def study() -> Study:
    base = tiny.config("evaluation.tasks=picky", "evaluation.times=3", texts={path!r})
    rates = (1e-3, 2e-3, 4e-3, 5e-3, 8e-3, 1e30)
    runs = [tiny.override(base, [f"optimizer.learning_rate={{rate}}"]) for rate in rates]
    return Study("picky", "How?", tuple(Run(config, 0) for config in runs), law=None)
"""
# Sound on the model that knows nothing, so that only training shows what is wrong
TASK = '''
"""Fails in its own way for every learning rate."""

import os

from experiments.evaluation.choices import score
from experiments.evaluation.task import Evaluation
from experiments.record import ItemResult


def evaluate(model, mixture, science):
    rate = science.optimizer.learning_rate
    sound = Evaluation({"score": 1.0}, [ItemResult(item="a", log_probabilities=(-1.0,))])
    if type(model).__name__ == "Uniform" or rate == 1e-3:
        return sound
    if rate == 2e-3:
        raise KeyError("no such choice\\nand more")
    if rate == 4e-3:
        return Evaluation({"score": float("nan")}, [ItemResult(item="a")])
    if rate == 5e-3:
        items = [ItemResult(item="a", log_probabilities=(float("-inf"), float("nan"), -1.0))]
        return Evaluation({"score": 1.0}, items)
    os._exit(3)
'''


def test_every_kind_of_trouble_in_one_sweep(tmp_path, texts, capfd):
    """An exception, a metric and items that are no numbers, the process's end, divergence."""
    study = tmp_path / "picky.py"
    study.write_text(STUDY.format(path=str(texts)))
    out = tmp_path / "out"
    command = ["run", str(study), "--out", str(out), "--workers", "2"]
    with plugged(tmp_path / "mine", {"experiments.evaluation.tasks.picky": TASK}):
        assert main(command) == AGAIN
    text = capfd.readouterr().out
    planned = json.loads((out / record.STUDY).read_text())["runs"]
    found = [record.read(out / run["run_id"], RunSummary) for run in planned]
    assert [one.status for one in found] == [
        "completed", "failed", "failed", "completed", "failed", "diverged",
    ]  # fmt: skip
    failures = [one.message for one in found if one.status is Status.FAILED]
    assert failures[0] == "KeyError: 'no such choice\\nand more'"
    assert failures[1].startswith("evaluation.tasks: picky.score is nan after the last step")
    assert "its worker ended 3 times (exit code 3)" in failures[2]
    assert all(message in text for message in failures)
    assert "2 completed, 1 diverged, 3 failed" in text
    *_, last = record.read_rows(out / found[2].run_id / record.METRICS)
    assert last.metrics["picky.score"] is None
    items = out / found[3].run_id / record.EVALUATIONS / "picky.jsonl"
    assert [row.log_probabilities for row in record.read_items(items)][-1] == (None, None, -1.0)


MEMBERS = ("optimizer.learning_rate=0.002", "optimizer.learning_rate=0.004", "seed=1")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, corpus):
    made = [tiny.job(tmp_path_factory.mktemp("alone"), member) for member in MEMBERS]
    for job in made:
        train(job, corpus)
    return made


@pytest.mark.parametrize("where", ["restore", "take", "save", "evaluate", "finish"])
def test_trouble_of_a_member_takes_no_other_down(tmp_path, corpus, alone, monkeypatch, where):
    jobs = [tiny.job(tmp_path, member) for member in MEMBERS]
    sound, bad = getattr(Member, where), jobs[1].run.run_id

    def troubled(member: Member, *args: object) -> object:
        if member.job.run.run_id == bad and member.step != 8:
            raise KeyError("a fault of its own")
        return sound(member, *args)

    monkeypatch.setattr(Member, where, troubled)
    events: list[Event] = []
    statuses = train_population(jobs, corpus, watch=events.append)
    assert statuses == [Status.COMPLETED, Status.FAILED, Status.COMPLETED]
    assert record.read(jobs[1].folder, RunSummary).message == "KeyError: 'a fault of its own'"
    assert [event.phase for event in events if event.run_id == bad][-1] is Status.FAILED
    for k in (0, 2):
        ours, theirs = (records.means(made[k].folder) for made in (jobs, alone))
        for row, other in zip(ours, theirs, strict=True):
            assert row == pytest.approx(other, rel=1e-3)
    monkeypatch.undo()
    worker.attend((jobs[1],), corpus, events.append, lambda: False)  # the same command, mended
    assert record.run_status(jobs[1].folder) is Status.COMPLETED


def test_error_of_a_whole_program_is_tried_in_halves(tmp_path, corpus, monkeypatch):
    jobs = tuple(tiny.job(tmp_path, member) for member in MEMBERS)
    whole = trainer.train_population

    def troubled(population, *args, **kwargs):
        if jobs[1] in population:
            raise ValueError("not an error of JAX")
        return whole(population, *args, **kwargs)

    monkeypatch.setattr(trainer, "train_population", troubled)
    worker.attend(jobs, corpus, lambda event: None, lambda: False)
    assert [record.run_status(job.folder) for job in jobs] == ["completed", "failed", "completed"]
    assert record.read(jobs[1].folder, RunSummary).message == "ValueError: not an error of JAX"


def test_record_that_cannot_be_tidied_stops_no_other_run(tmp_path, corpus):
    """A folder where a file belongs, and a file where a folder does; and an older version."""
    jobs = tuple(tiny.job(tmp_path, member) for member in MEMBERS)
    (jobs[0].folder / record.METRICS).mkdir(parents=True)
    jobs[1].folder.mkdir()
    (jobs[1].folder / record.CHECKPOINTS).write_text("in the way")
    jobs[2].folder.mkdir()
    (jobs[2].folder / record.CONFIG).write_text('{"schema": 1}')
    notes: list[str] = []
    worker.attend(jobs, corpus, lambda event: notes.append(event.note), lambda: False)
    assert [record.run_status(job.folder) for job in jobs] == ["completed", "completed", "failed"]
    assert [note.partition(": ")[2].partition(":")[0] for note in notes if note] == [
        "metrics.jsonl is no file",
        "checkpoints is no folder",
    ]


def test_full_disk_is_no_runs_own_and_stops_the_sweep(tmp_path, texts, cache):
    bound = bind(tiny.study(texts), tmp_path / "out", cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # workers inherit it
    try:
        with pytest.raises(UserError, match=r"cannot write \(File too large\)") as caught:
            run_sweep(bound, StudyPart.FIT, Local(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert multiprocessing.active_children() == []
    assert Status.FAILED not in {bound.status(run) for run in bound.study.runs}


BROKEN = (
    (TASK.replace("if type", "{}['absent']\n    if type"), "picky.py:14: KeyError: 'absent'"),
    (TASK.replace("if type", "score(model, [], None, 1)\n    if type"), "a task of choices has no"),
)


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_mistake_in_a_task_is_told_before_training(tmp_path, texts, capfd, text, why):
    study, out = tmp_path / "picky.py", tmp_path / "out"
    study.write_text(STUDY.format(path=str(texts)))
    with plugged(tmp_path / "mine", {"experiments.evaluation.tasks.picky": text}):
        for flags in (["--dry-run"], []):
            assert main(["run", str(study), "--out", str(out), *flags]) == 2
            error = capfd.readouterr().err.splitlines()[-1]
            assert error.startswith("error: evaluation.tasks=picky: ")
            assert why in error
    assert not out.exists()
