from __future__ import annotations

import os
import re
import shutil
import signal
from dataclasses import replace

import jax
import msgspec
import numpy as np
import pytest
import records
import tiny

from experiments import record
from experiments.config.overrides import override
from experiments.launchers import local
from experiments.launchers.local import Local
from experiments.plan.branching import branch, stable_steps, trunk
from experiments.plan.run import Continued, Fresh, Run
from experiments.plan.study import Study
from experiments.record import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    SUMMARY,
    Parent,
    RunRecord,
    RunSummary,
    Status,
    StudyPart,
    StudyPlan,
)
from experiments.runs import branch_point
from experiments.runs.branch_point import is_ready, take_over
from experiments.runs.checkpoint import Checkpoints
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import bind, run_sweep
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from experiments.training.trainer import train, train_population
from scaling.common.errors import UserError

TIMES = ("wall_seconds", "first_dispatch_seconds", "tokens_per_second")
OWN = ("steps_trained", "tokens_trained")  # what a branch says of its own training
LENGTHS = (40, 60)
BRANCHED = (32, 48)


def tree(texts, *assignments: str) -> list[Run]:
    """A trunk of 48 steps and its branches, of 40 and 60."""
    flat = ("schedule.name=wsd", "schedule.warmup_fraction=0.1")
    base = tiny.config(*flat, *assignments, texts=texts)
    ends = [length * base.science.batch.batch_tokens for length in LENGTHS]
    stem = trunk(base, ends, 0.2)
    leaves = [branch(stem, end, 0.2) for end in ends]
    first = Run(stem, 0, StudyPart.TRUNK)
    begun = [Continued(first, stable_steps(leaf.science)) for leaf in leaves]
    assert tuple(each.step for each in begun) == BRANCHED
    runs = [Run(leaf, 0, StudyPart.FIT, b) for leaf, b in zip(leaves, begun, strict=True)]
    return [first, *runs]


def jobs(folder, runs: list[Run]) -> list[Job]:
    return [Job(run, "tiny", folder / run.run_id) for run in runs]


@pytest.fixture(scope="module")
def runs(texts):
    return tree(texts)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, runs, corpus):
    """Both branches as runs that know of no trunk."""
    made = jobs(
        tmp_path_factory.mktemp("straight"), [replace(r, beginning=Fresh()) for r in runs[1:]]
    )
    for job in made:
        train(job, corpus)
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runs, corpus):
    """A study folder with the finished trunk."""
    folder = tmp_path_factory.mktemp("trained")
    train(jobs(folder, runs)[0], corpus)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "study")


def rows(job):
    return records.means(job.folder)


def summary(job):
    return record.read(job.folder, RunSummary)


def metrics(job):
    found = summary(job).numbers()
    return {name: found[name] for name in found if name not in (*TIMES, *OWN)}


def own(job) -> list[float]:
    return [getattr(summary(job).metrics, name) for name in OWN]


def parents(job):
    return [record.read(job.folder, kind).parents for kind in (RunRecord, RunSummary)]


def state(job):
    like = programs(recipe(job.run.config)).init(hypers(job.run.config.science))
    with Checkpoints(job.folder / CHECKPOINTS) as checkpoints:
        return checkpoints.restore(like)


def assert_same_run(ours, theirs):
    """Compare records and final states bit by bit."""
    assert ours.folder.name == theirs.folder.name
    assert rows(ours) == rows(theirs)
    assert metrics(ours) == metrics(theirs)
    assert summary(ours).status == summary(theirs).status
    if summary(ours).status is Status.COMPLETED:
        jax.tree.map(np.testing.assert_array_equal, state(ours), state(theirs))


def on_training(seen: list[int]):
    return lambda event: seen.append(event.step) if event.phase == "training" else None


@pytest.mark.parametrize("k", [0, 1])
def test_branch_is_the_run_that_trained_straight_through(folder, runs, corpus, straight, k):
    stem, *leaves = jobs(folder, runs)
    assert take_over(leaves[k]) is None
    seen: list[int] = []
    assert train(leaves[k], corpus, watch=on_training(seen)) is Status.COMPLETED
    assert min(seen) > BRANCHED[k]
    assert_same_run(leaves[k], straight[k])
    assert parents(leaves[k]) == [(Parent(run_id=stem.run.run_id, step=BRANCHED[k]),)] * 2
    assert parents(stem) == parents(straight[k]) == [()] * 2


def test_what_was_trained_adds_up(folder, runs, corpus, straight):
    """Own steps, tokens and seconds: a branch does not count what its trunk has paid for."""
    made = jobs(folder, runs)
    rewritten = [msgspec.structs.replace(row, seconds=row.seconds + 1000) for row in read(made[0])]
    record.rewrite_rows(made[0].folder / METRICS, rewritten)
    for job in made[1:]:
        take_over(job)
        train(job, corpus)
    assert [own(job) for job in made] == [[48, 48 * 64], [8, 8 * 64], [12, 12 * 64]]
    assert [own(job) for job in straight] == [[40, 40 * 64], [60, 60 * 64]]
    for job in made[1:]:
        assert read(job)[-1].seconds > 1000 > summary(job).metrics.wall_seconds > 0


def read(job):
    """The rows of training."""
    return [row for row in record.read_rows(job.folder / METRICS) if row.seconds is not None]


def test_branches_in_one_program_are_like_their_straight_runs(folder, runs, corpus, straight):
    leaves = jobs(folder, runs)[1:]
    assert [take_over(job) for job in leaves] == [None, None]
    assert train_population(leaves, corpus) == [Status.COMPLETED] * 2
    for ours, theirs in zip(leaves, straight, strict=True):
        assert rows(ours)[:4] == rows(theirs)[:4]
        loss = summary(theirs).metrics.loss
        assert summary(ours).metrics.loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("where", ["copytree", "rewrite_rows", "rename"])
def test_interrupted_copy_is_made_again(folder, runs, corpus, straight, monkeypatch, where):
    """Killed after the copy, after the rows, and before the copy takes its name."""
    leaf = jobs(folder, runs)[1]
    owner = {"copytree": branch_point.shutil, "rewrite_rows": record, "rename": branch_point.Path}[
        where
    ]
    original = getattr(owner, where)

    def die(*args, **kwargs):
        if where != "rename":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, die)
        with pytest.raises(KeyboardInterrupt):
            take_over(leaf)
    assert not list((leaf.folder / CHECKPOINTS).glob("*"))
    assert take_over(leaf) is None
    assert {path.name for path in leaf.folder.iterdir()} == {CHECKPOINTS, METRICS}
    train(leaf, corpus)
    assert_same_run(leaf, straight[0])


def test_run_that_has_begun_is_left_alone(folder, runs, corpus, straight):
    leaf = jobs(folder, runs)[2]
    take_over(leaf)
    stops = iter([False, True])
    assert train(leaf, corpus, interrupted=lambda: next(stops)) is Status.STARTED
    before = read(leaf)
    assert len(before) == 8
    shutil.rmtree(folder / runs[0].run_id)
    assert is_ready(leaf)
    assert take_over(leaf) is None
    assert read(leaf) == before
    train(leaf, corpus)
    assert_same_run(leaf, straight[1])
    assert parents(leaf) == [(Parent(run_id=runs[0].run_id, step=48),)] * 2


def test_lost_config_does_not_lose_the_parents(folder, runs, corpus):
    leaf = jobs(folder, runs)[1]
    take_over(leaf)
    train(leaf, corpus, interrupted=lambda: True)
    (leaf.folder / CONFIG).unlink()
    train(leaf, corpus)
    assert parents(leaf) == [(Parent(run_id=runs[0].run_id, step=32),)] * 2


def truncate(stem):
    file = max((stem / CHECKPOINTS / "32").rglob("?*"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-9])


def unseal(stem):
    (stem / CHECKPOINTS / "32" / "seal.json").unlink()


def remove(stem):
    shutil.rmtree(stem / CHECKPOINTS / "32")


def garble(stem):
    (stem / METRICS).write_bytes(b"?\n" + (stem / METRICS).read_bytes())


def shorten(stem):
    lines = (stem / METRICS).read_text().splitlines(keepends=True)
    (stem / METRICS).write_text("".join(lines[:3]))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (truncate, r"checkpoint 32 is damaged: .* has changed$"),
        (unseal, r"checkpoint 32 is missing$"),
        (remove, r"checkpoint 32 is missing$"),
        (garble, r"metrics\.jsonl does not reach step 32$"),
        (shorten, r"metrics\.jsonl does not reach step 32$"),
    ],
)
def test_without_a_whole_checkpoint_the_branch_trains_straight_through(
    folder, runs, corpus, straight, harm, reason
):
    stem, leaf, _ = jobs(folder, runs)
    harm(stem.folder)
    assert is_ready(leaf)
    note = take_over(leaf)
    assert note is not None
    assert re.search(reason, note)
    assert "\n" not in note
    train(leaf, corpus)
    assert_same_run(leaf, straight[0])
    assert parents(leaf) == [()] * 2
    assert own(leaf) == own(straight[0])


def test_branch_of_a_trunk_that_diverged_too_early_diverges_too(tmp_path, texts, corpus):
    made = jobs(tmp_path, tree(texts, "optimizer.learning_rate=1e30"))
    assert train(made[0], corpus) is Status.DIVERGED
    assert is_ready(made[1])
    assert "which is diverged, checkpoint 32 is missing" in (take_over(made[1]) or "")
    assert train(made[1], corpus) is Status.DIVERGED
    assert summary(made[1]).diverged_step == summary(made[0]).diverged_step


def test_branch_is_ready_with_its_checkpoint_before_its_trunk_has_ended(folder, runs):
    stem, short, long = jobs(folder, runs)
    (stem.folder / SUMMARY).unlink()
    shutil.rmtree(stem.folder / CHECKPOINTS / "48")
    assert [is_ready(job) for job in (stem, short, long)] == [True, True, False]
    unseal(stem.folder)  # being written
    assert not is_ready(short)


# --- sweeps ---


def study(runs) -> Study:
    return Study("tiny", "How?", tuple(runs))


def test_study_trains_its_trunk_and_then_its_branches_over_two_calls(
    tmp_path, runs, cache, straight
):
    """Stopped when the trunk has ended: then the branches are left, and each is a record."""
    bound = bind(study(runs), tmp_path, cache)
    stem, *leaves = bound.study.runs
    assert [run.run_id for run in bound.runs(StudyPart.FIT)] == [r.run_id for r in bound.study.runs]

    def stop(event: Event) -> None:
        if event.phase is Status.COMPLETED:
            os.kill(os.getpid(), signal.SIGINT)

    run_sweep(bound, StudyPart.FIT, Local(1), stop)
    assert [bound.status(run) for run in (stem, *leaves)] == ["completed", "missing", "missing"]
    assert bound.runs(StudyPart.FIT) == tuple(leaves)
    events: list[Event] = []
    run_sweep(bound, StudyPart.FIT, Local(1), events.append)
    assert {event.run_id for event in events} == {run.run_id for run in leaves}
    for leaf, theirs in zip(leaves, straight, strict=True):
        job = bound.job(leaf)
        assert rows(job) == [pytest.approx(row, rel=1e-5) for row in rows(theirs)]
        assert metrics(job) == pytest.approx(metrics(theirs), rel=1e-5)
        assert parents(job) == [(Parent(run_id=stem.run_id, step=leaf.first_step),)] * 2
    plan = record.read(tmp_path, StudyPlan)
    assert [run.part for run in plan.runs] == ["trunk", "fit", "fit"]


@pytest.fixture
def handed_out(monkeypatch):
    """The runs of each round, all of which get the given status."""
    rounds: list[list[str]] = []
    status: list[str] = []

    def train_all(populations, slots, watch):
        rounds.append([job.run.run_id for population in populations for job in population])
        for job in (job for population in populations for job in population):
            record.write(job.folder, records.run_summary(status=status[0]))
        return True

    monkeypatch.setattr(local, "train_all", train_all)
    return rounds, status


@pytest.mark.parametrize(("status", "rounds"), [("diverged", 2), ("failed", 1)])
def test_branches_come_after_their_trunk_and_not_at_all_where_it_failed(
    tmp_path, runs, cache, handed_out, status, rounds
):
    bound = bind(study(runs), tmp_path, cache)
    found, given = handed_out
    given.append(status)
    run_sweep(bound, StudyPart.FIT, Local(2))
    ids = [run.run_id for run in bound.study.runs]
    assert [sorted(names) for names in found] == [[ids[0]], sorted(ids[1:])][:rounds]


def test_trunk_without_a_branch_to_train_is_left_alone(tmp_path, runs, cache):
    bound = bind(study(runs), tmp_path, cache)
    stem, short, long = bound.study.runs
    record.write(tmp_path / short.run_id, records.run_summary())
    assert bound.runs(StudyPart.FIT) == (stem, short, long)
    record.write(tmp_path / long.run_id, records.run_summary(status="diverged"))
    assert bound.runs(StudyPart.FIT) == (short, long)
    assert bound.runs(StudyPart.TRUNK) == (stem,)


def test_trunk_must_be_a_run_of_the_study_and_stay_one(runs, cache, tmp_path):
    with pytest.raises(UserError, match=r"which is not a run of the study; add it$"):
        bind(study(runs[1:]), tmp_path, cache)
    with pytest.raises(UserError, match=r"no checkpoint of it is kept"):
        bind(study(runs).override(["execution.permanent=8"]), tmp_path, cache)
    with pytest.raises(UserError, match=r"cannot continue from step .*: their rates agree for"):
        bind(study(runs).override(["schedule.decay_fraction=0.5"]), tmp_path, cache)
    seeded = study(runs).override(["seed=3", "optimizer.learning_rate=1e-3"])
    bound = bind(seeded, tmp_path, cache)
    assert bound.study.runs[1].origin.parent.run_id == bound.study.runs[0].run_id != runs[0].run_id


def test_identity_of_a_branch_does_not_know_of_the_trunk(runs):
    leaf = runs[1]
    assert replace(leaf, beginning=Fresh()).run_id == leaf.run_id
    assert override(leaf.config, ["execution.permanent=8"]) != leaf.config
