"""Parents and children in a sweep: failures go down, checkpoints stay while a child needs them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import records
import tiny

from experiments import record
from experiments.launchers.local import Local
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import CHECKPOINTS, Status, StudyPart
from experiments.sweep.generations import free
from experiments.sweep.sweep import Sweep, bind, run_sweep


def three_generations(texts, folder, cache, rate: float = 1e-3) -> Sweep:
    """A parent, its continuation, and that one's average with the parent."""
    config = tiny.config(
        "budget.tokens=640",
        f"optimizer.learning_rate={rate}",
        "execution.unneeded=freed",
        texts=texts,
    )
    parent = Run(config, 0)
    child = derived(parent, "continue", lr=1e-3)
    last = derived((parent, child), "average", tokens=0)
    return bind(Study("tiny", "Why?", (last, child, parent), law=None), folder, cache)


def test_a_failed_parent_fails_its_children_with_one_line(texts, tmp_path, cache) -> None:
    """The parent diverges; both generations after it are told, and an error is not tried twice."""
    bound = three_generations(texts, tmp_path / "out", cache, rate=1e30)
    events = []
    run_sweep(bound, StudyPart.FIT, Local(1), events.append)
    last, child, parent = bound.study.runs
    assert [bound.status(run) for run in (last, child, parent)] == ["failed", "failed", "diverged"]
    line = f"cannot begin, for its parent {parent.run_id} diverged"
    assert bound.failure(child).endswith(f"summary.json: {line}")
    assert bound.failure(last).endswith(f"summary.json: {line}")
    assert [event.run_id for event in events if event.phase == "failed"] != []


@pytest.mark.slow
def test_the_same_command_tries_a_failed_generation_again(texts, tmp_path, cache) -> None:
    bound = three_generations(texts, tmp_path / "out", cache)
    for run in bound.study.runs:
        failed = records.run_summary(run.run_id, status=Status.FAILED, message="no memory")
        record.write(bound.folder / run.run_id, failed)
    run_sweep(bound, StudyPart.FIT, Local(1))
    assert [bound.status(run) for run in bound.study.runs] == [Status.COMPLETED] * 3


def test_checkpoints_stay_while_a_child_needs_them_and_then_go(tmp_path) -> None:
    config = tiny.config("execution.unneeded=freed")
    parent = Run(config, 0)
    child = derived(parent, "continue", seed=1)
    kept = derived(child, "continue", seed=2, **{"execution.unneeded": "kept"})
    runs = (parent, child, kept)
    folders = [tmp_path / run.run_id / CHECKPOINTS for run in runs]
    for folder in folders:
        (folder / "8").mkdir(parents=True)
    for done, left in [
        ((parent,), (True, True, True)),
        ((parent, child), (False, True, True)),
        (runs, (False, False, True)),
    ]:
        ended = {run.run_id for run in done}
        free(
            tmp_path,
            runs,
            lambda run, ended=ended: Status.COMPLETED if run.run_id in ended else Status.FAILED,
        )
        assert tuple(folder.exists() for folder in folders) == left


@pytest.mark.slow
def test_a_sweep_frees_checkpoints_after_the_last_child(texts, tmp_path, cache) -> None:
    bound = three_generations(texts, tmp_path / "out", cache)
    last, child, parent = bound.study.runs
    later = replace(bound.study, runs=(replace(last, part=StudyPart.HELD_OUT), child, parent))
    run_sweep(replace(bound, study=later), StudyPart.FIT, Local(1))
    kept = [bound.folder / run.run_id / CHECKPOINTS for run in bound.study.runs]
    assert [folder.exists() for folder in kept] == [False, True, True]
    run_sweep(bound, StudyPart.FIT, Local(1))
    assert bound.status(last) is Status.COMPLETED
    assert not any(folder.exists() for folder in kept)
