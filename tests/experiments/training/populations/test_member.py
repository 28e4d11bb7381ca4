"""Runs that are trained in one program have the records that they would have had alone."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
import records
import tiny

from experiments import record
from experiments.record import RunSummary, Status
from experiments.runs.checkpoint import Checkpoints
from experiments.runs.job import Event
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from experiments.training.trainer import train, train_population

# one seed in two lengths, another seed, and one that leaves the numbers at its third step
MEMBERS = (
    ("evaluation.times=3",),
    ("optimizer.learning_rate=0.001", f"budget.tokens={21 * 64}"),
    ("seed=1", "evaluation.times=2", f"budget.tokens={40 * 64}"),
    ("optimizer.learning_rate=1e30",),
)
DIVERGED = 3
TOLERANCE = 1e-5


def jobs(folder: Path, *assignments: str):
    return [tiny.job(folder, *member, *assignments) for member in MEMBERS]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, corpus):
    made = jobs(tmp_path_factory.mktemp("alone"))
    for job in made:
        train(job, corpus)
    return made


@pytest.fixture(scope="module")
def together(tmp_path_factory, corpus):
    made = jobs(tmp_path_factory.mktemp("together"))
    events: list[Event] = []
    statuses = train_population(made, corpus, watch=events.append)
    return made, statuses, events


def rows(job):
    return records.means(job.folder)


def summary(job):
    return record.read(job.folder, RunSummary)


def final_state(job):
    like = programs(recipe(job.run.config)).init(hypers(job.run.config.science))
    with Checkpoints(job.folder / record.CHECKPOINTS) as checkpoints:
        return checkpoints.restore(like)


def assert_same_record(ours, theirs, tolerance=TOLERANCE):
    """The same files with the same numbers, but for rounding and for time."""
    assert ours.folder.name == theirs.folder.name
    a, b = ({p.name for p in job.folder.iterdir()} for job in (ours, theirs))
    assert a == b
    texts = [(job.folder / record.CONFIG).read_text() for job in (ours, theirs)]
    assert texts[0] == texts[1]
    assert [row.keys() for row in rows(ours)] == [row.keys() for row in rows(theirs)]
    for row, other in zip(rows(ours), rows(theirs), strict=True):
        loose = {"grad_norm"} & row.keys()  # a sum of squares over all parameters
        tight = {name: row[name] for name in row.keys() - loose}
        assert tight == pytest.approx({name: other[name] for name in tight}, rel=tolerance)
        assert all(row[name] == pytest.approx(other[name], rel=1e-3) for name in loose)
    one, two = summary(ours), summary(theirs)
    times = {"wall_seconds", "first_dispatch_seconds", "tokens_per_second"}
    metrics = [{n: v for n, v in s.numbers().items() if n not in times} for s in (one, two)]
    assert metrics[0] == pytest.approx(metrics[1], rel=tolerance)
    for name in set(RunSummary.__struct_fields__) - {
        "metrics",
        "environment",
        "files",
    }:  # times and their sums
        assert getattr(one, name) == getattr(two, name), name


@pytest.mark.parametrize("k", range(len(MEMBERS)))
def test_record_of_a_member_is_that_of_its_solo_run(alone, together, k) -> None:
    made, statuses, _ = together
    assert_same_record(made[k], alone[k])
    assert statuses[k] is Status.DIVERGED if k == DIVERGED else Status.COMPLETED
    assert summary(made[k]).environment.members == len(MEMBERS)
    assert summary(alone[k]).environment.members == 1


def test_diverged_member_ends_at_its_step_and_the_rest_go_on(together) -> None:
    made, _, events = together
    found = summary(made[DIVERGED])
    assert found.diverged_step == 2
    assert found.message == "the loss was not finite at step 2"
    ended = [event.run_id for event in events if isinstance(event.phase, Status)]
    assert ended == [made[k].run.run_id for k in (DIVERGED, 1, 2, 0)]  # each as it ends


def healthy_jobs(folder: Path, *assignments: str):
    """The same members, but for a neighbour that stays well."""
    made = jobs(folder, *assignments)
    made[DIVERGED] = tiny.job(folder, "optimizer.learning_rate=0.002", *assignments)
    return made


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, corpus):
    made = healthy_jobs(tmp_path_factory.mktemp("healthy"))
    assert train_population(made, corpus) == [Status.COMPLETED] * 4
    return made


def assert_same_bits(ours, theirs):
    assert rows(ours) == rows(theirs)
    assert summary(ours).metrics.loss == summary(theirs).metrics.loss
    jax.tree.map(np.testing.assert_array_equal, final_state(ours), final_state(theirs))


def test_neighbour_that_diverges_changes_no_bit_of_the_others(together, healthy) -> None:
    for k in (0, 1, 2):
        assert_same_bits(together[0][k], healthy[k])


def test_loss_far_beyond_its_start_is_divergence_alone_and_in_a_population(
    tmp_path, corpus
) -> None:
    """So high a rate takes the loss from 6 to hundreds in one step, all of them finite."""
    wild = ("optimizer.learning_rate=300.0", "schedule.warmup_fraction=0.5", "init_scale=0.1")
    solo, together = tiny.job(tmp_path / "solo", *wild), tiny.job(tmp_path / "population", *wild)
    assert train(solo, corpus) is Status.DIVERGED
    neighbour = tiny.job(tmp_path / "population")
    assert train_population([together, neighbour], corpus) == [Status.DIVERGED, Status.COMPLETED]
    for job in (solo, together):
        assert "rose beyond 10 times its start at step" in summary(job).message
    assert summary(solo).diverged_step == summary(together).diverged_step > 0


class Interruption:
    """Says stop at the nth time that it is asked."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def test_interrupted_population_goes_on_bit_for_bit(tmp_path, corpus, healthy) -> None:
    """Twice: on a CPU, saves are views of buffers that the next dispatch would take."""
    made = healthy_jobs(tmp_path, "execution.checkpoint_seconds=0.0")
    for _ in range(2):
        assert train_population(made, corpus, interrupted=Interruption(1)) == [Status.STARTED] * 4
    assert [rows(job)[-1]["step"] for job in made] == [16] * 4
    assert train_population(made, corpus) == [Status.COMPLETED] * 4
    for ours, theirs in zip(made, healthy, strict=True):
        assert_same_bits(ours, theirs)


def test_interrupted_population_goes_on_with_what_is_left_of_it(tmp_path, corpus, together) -> None:
    made = jobs(tmp_path)
    statuses = train_population(made, corpus, interrupted=Interruption(4))  # at step 32
    assert statuses == [Status.STARTED, Status.COMPLETED, Status.STARTED, Status.DIVERGED]
    ready = (made[1].folder / record.SUMMARY).read_text()
    assert train_population([made[0], made[2]], corpus) == [Status.COMPLETED] * 2
    assert (made[1].folder / record.SUMMARY).read_text() == ready
    for k in (0, 2):  # another number of members is another program: equal up to rounding
        assert_same_record(made[k], together[0][k])


def test_every_member_keeps_checkpoints_of_its_own(tmp_path, corpus, alone) -> None:
    seldom = "execution.checkpoint_seconds=3600"  # however slow the machine is
    permanent = tiny.job(tmp_path, *MEMBERS[0], "execution.permanent=16,32", seldom)
    made = [permanent, *jobs(tmp_path, seldom)[1:3]]
    assert train_population(made, corpus) == [Status.COMPLETED] * 3
    kept = [{int(p.name) for p in (job.folder / record.CHECKPOINTS).iterdir()} for job in made]
    assert kept == [{16, 32, 50}, {21}, {40}]
    assert rows(made[2])[-1] == pytest.approx(rows(alone[2])[-1], rel=1e-3)


def test_killed_population_goes_on(tmp_path, corpus, together) -> None:
    made = jobs(tmp_path, "execution.checkpoint_seconds=0.0")

    def crash(event: Event) -> None:
        if event.step == 32:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        train_population(made, corpus, watch=crash)
    assert [record.run_status(job.folder) for job in made] == [
        Status.STARTED,
        Status.COMPLETED,
        Status.STARTED,
        Status.DIVERGED,
    ]
    assert train_population([made[0], made[2]], corpus) == [Status.COMPLETED] * 2
    for k in (0, 2):
        assert [row["loss"] for row in rows(made[k]) if "loss" in row] == pytest.approx(
            [row["loss"] for row in rows(together[0][k]) if "loss" in row], rel=TOLERANCE
        )


def test_members_that_stand_at_different_steps(tmp_path, corpus, alone) -> None:
    """One at its start, one at step 16, one before its validation only; each goes on from there."""
    made = jobs(tmp_path)[:3]
    train(made[1], corpus, interrupted=Interruption(3))
    train(made[2], corpus, interrupted=Interruption(2))
    assert [len(rows(job)) for job in made[1:]] == [3, 2]
    assert train_population(made, corpus) == [Status.COMPLETED] * 3
    for k in range(3):
        assert_same_record(made[k], alone[k])


def test_member_of_an_interrupted_population_goes_on_alone(tmp_path, corpus, alone) -> None:
    made = jobs(tmp_path)
    train_population(made, corpus, interrupted=Interruption(2))
    assert train(made[2], corpus) is Status.COMPLETED
    assert_same_record(made[2], alone[2])


def test_sixteen_learning_rates_are_one_compilation(tmp_path, corpus) -> None:
    """Alone, one by one, and in populations of eight: after the first nothing is compiled."""
    compiled: list[str] = []

    def count(event: str, duration: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    grid = [f"optimizer.learning_rate={rate}" for rate in np.geomspace(1e-4, 1e-2, 16)]
    short = f"budget.tokens={4 * 64}"
    made = [
        [tiny.job(tmp_path / name, rate, short) for rate in grid] for name in ("solo", "together")
    ]
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        jax.clear_caches()
        train(made[0][0], corpus)
        assert compiled, "they are counted"
        compiled.clear()
        for job in made[0][1:]:
            train(job, corpus)
        assert compiled == []
        train_population(made[1][:8], corpus)
        assert compiled
        compiled.clear()
        train_population(made[1][8:], corpus)
        assert compiled == []
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
