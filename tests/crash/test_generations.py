"""Three generations, each killed on its way: the records are those of runs never interrupted."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Sequence

import msgspec
import pytest
import records
import tiny
import victim

from experiments import data, record
from experiments.config.overrides import override
from experiments.devices.slot import Slot
from experiments.plan import derived
from experiments.plan.run import Run
from experiments.record import RunSummary
from experiments.runs.job import Job

BUSY = ("execution.steps_per_dispatch=4", "execution.checkpoint_seconds=0.0", "budget.tokens=1280")
WALL = ("wall_seconds", "first_dispatch_seconds", "tokens_per_second")
FEW = ((), (), ("derive",))
MANY = (("resume", "save", "row", "validate"), ("derive", "save", "sealing", "rows"), ("derive",))


@pytest.fixture(scope="module")
def generations(texts, cache) -> list[Run]:
    """A run, its continuation with the optimizer's state, and the average of both, trained on."""
    config = tiny.config(*BUSY, texts=texts)
    mark = data.Corpora(cache).mixture(config.science.data).fingerprint
    first = Run(override(config, [f"data.fingerprint={mark}"]), 0)
    second = derived(first, "continue", state="mapped", seed=3)
    return [first, second, derived((first, second), "average", weights=(1.0, 3.0), seed=4)]


@pytest.fixture(scope="module")
def lives(tmp_path_factory, cache):
    """Sends jobs to a new worker and gives its exit code."""
    slot = Slot(cache, tmp_path_factory.mktemp("kill") / "workers.log", core=None)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["victim"])

    def live(jobs: Sequence[Job], point: str | None = None, nth: int = 1) -> int | None:
        ours, theirs = context.Pipe()
        process = context.Process(target=victim.live, args=(theirs, slot, point, nth))
        process.start()
        theirs.close()
        for job in jobs:
            ours.send((job,))
        ours.send(None)
        try:
            while True:
                ours.recv()
        except (EOFError, ConnectionResetError):
            process.join(60)
        return process.exitcode

    return live


def jobs_of(runs: Sequence[Run], folder) -> list[Job]:
    return [Job(run, "tiny", folder / run.run_id) for run in runs]


def found(job: Job) -> tuple:
    summary = record.read(job.folder, RunSummary)
    metrics = msgspec.structs.replace(summary.metrics, **dict.fromkeys(WALL))
    return records.means(job.folder), msgspec.structs.replace(summary, metrics=metrics, files={})


@pytest.mark.parametrize(
    "points", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_in_every_generation_the_records_are_the_same(
    points, generations, lives, tmp_path
) -> None:
    whole = jobs_of(generations, tmp_path / "whole")
    assert lives(whole) == 0
    killed = jobs_of(generations, tmp_path / "killed")
    for job, done, names in zip(killed, whole, points, strict=True):
        if not names:
            shutil.copytree(done.folder, job.folder)
            continue
        for name in names:
            assert lives([job], name) == -signal.SIGKILL, (job.run.run_id, name)
        assert lives([job]) == 0
    for ours, theirs in zip(killed, whole, strict=True):
        assert found(ours) == found(theirs)
