"""Ray tasks on one instance: their records, and workers that die, fail or are interrupted."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
from collections import deque
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import records
import tiny

from experiments import record
from experiments.devices.signals import STOP_SIGNALS
from experiments.record import Status, StudyPart
from experiments.runs.claim import Owner
from experiments.runs.job import Event
from experiments.sweep.sweep import Sweep, ready, run_sweep, train
from scaling.common.errors import UserError
from scaling.common.files import read_json

if find_spec("ray") is None:
    pytest.skip("the extra 'ray' is not installed", allow_module_level=True)
launcher = importlib.import_module("experiments.launchers.ray")  # first of all: it quiets Ray
tasks_of = importlib.import_module("experiments.launchers._ray_tasks")
ray = launcher.ray

# An instance is started by a fork, which is of another program at once, and not of JAX
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

HALF = {"num_cpus": 0.5}  # so that one core is two places


@pytest.fixture
def bound(swept) -> Sweep:
    """Three runs, one of which diverges; two local workers have trained them."""
    return swept[0]


@pytest.fixture(scope="module")
def here():
    """Two places on an instance of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks_of, "LOOK", 0.05)
        yield launcher.Ray(2, launcher.LOCAL, HALF)
    ray.shutdown()


def worker_of(folder: Path) -> int:
    """The process that has claimed the run of this folder."""
    (claim,) = folder.glob("claim.*")
    return read_json(claim, Owner).pid


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_tasks_leave_the_records_of_the_local_launcher(bound, here, tmp_path, capfd):
    """And say nothing, and leave the handlers of signals as they were."""
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    events: list[Event] = []
    swept = replace(bound, folder=tmp_path)
    run_sweep(swept, StudyPart.FIT, here, events.append)
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    fit = bound.study.part(StudyPart.FIT)
    assert [swept.status(run) for run in fit] == ["completed", "diverged", "completed"]
    for run in fit:
        assert records.means(swept.folder / run.run_id) == records.means(bound.folder / run.run_id)
    last = {event.run_id: event.phase for event in events}
    assert last == {run.run_id: swept.status(run) for run in fit}
    assert capfd.readouterr() == ("", "")


def test_more_than_any_node_has_is_refused(here):
    with pytest.raises(UserError, match=r"num_gpus=1: no node .* together have .*num_gpus=0"):
        _ = replace(here, resources={"num_cpus": 1, "num_gpus": 1}).places


@pytest.mark.slow
def test_run_of_a_killed_worker_is_tried_again_and_goes_on(bound, here, tmp_path, capfd):
    swept, events, killed = tiny.first(bound, tmp_path, *tiny.lasting(1600)), [], []
    (run,) = swept.study.runs
    folder = tmp_path / run.run_id

    def watch(event: Event) -> None:
        events.append(event)
        if event.phase == "training" and not killed and (folder / record.CHECKPOINTS).exists():
            killed.append(worker_of(folder))
            os.kill(killed[0], signal.SIGKILL)

    run_sweep(swept, StudyPart.FIT, here, watch)
    assert killed
    died, *waits = (event.note for event in events if event.note)
    assert died == f"{run.run_id}: its worker died"
    # one that was just killed may still stand in the process table
    assert all(note.startswith(f"waiting for run {run.run_id}") for note in waits)
    assert [event.phase for event in events].count(Status.COMPLETED) == 1
    assert records.steps(folder) == list(range(8, 1601, 8))
    assert capfd.readouterr() == ("", "")


def test_interrupted_tasks_save_what_was_done(bound, here, tmp_path, capfd):
    swept, workers = tiny.first(bound, tmp_path, *tiny.lasting(100_000)), []
    (run,) = swept.study.runs
    folder = tmp_path / run.run_id

    def watch(event: Event) -> None:
        if event.phase == "training" and not workers:
            workers.append(worker_of(folder))
            os.kill(os.getpid(), signal.SIGTERM)

    run_sweep(swept, StudyPart.FIT, here, watch)
    assert swept.standing(run) == "stale"
    last = max(int(path.name) for path in (folder / record.CHECKPOINTS).iterdir())
    assert records.steps(folder)[-1] == last > 0
    assert capfd.readouterr().err.count("\n") == 1
    # whoever trained lives on, ready for the next population
    assert is_alive(workers[0])


def test_mistake_found_by_a_task_is_raised_here(bound, here, tmp_path):
    swept = tiny.first(bound, tmp_path)
    jobs = ready(swept, StudyPart.FIT, here)
    (tmp_path / swept.study.runs[0].run_id).write_text("in the way")
    with pytest.raises(UserError, match=r"cannot claim the run \(File exists\)") as caught:
        train(swept, jobs, here, lambda event: None)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tasks(bound, here, tmp_path):
    """Make the sweep's first two runs tasks that do this; gives them and the events."""
    here.places  # noqa: B018  connects
    swept = replace(bound, folder=tmp_path)
    populations = deque((swept.job(run),) for run in swept.study.runs[:2])

    def tasks(act, *arguments, places=2):
        act = ray.remote(num_cpus=0.5, max_retries=0)(act)
        events: list[Event] = []
        start = lambda population: tasks_of.Started([act.remote(population, *arguments)])  # noqa: E731
        log = tmp_path / "workers.log"
        return tasks_of.Tasks(start, lambda: places, log, events.append, populations.copy()), events

    return tasks


def test_run_whose_worker_always_dies_is_recorded_as_failed(bound, tasks, tmp_path):
    doomed, other = (run.run_id for run in bound.study.runs[:2])
    summary = records.run_summary()

    def act(population):
        if population[0].run.run_id == doomed:
            os._exit(1)
        record.write(population[0].folder, summary)

    found, events = tasks(act)
    assert found.run()
    assert [event.run_id for event in events if event.note] == [doomed] * 3
    assert {event.run_id: event.phase for event in events} == {doomed: "failed", other: "completed"}
    swept = replace(bound, folder=tmp_path)
    assert "its worker died 3 times, perhaps for want of memory" in swept.failure(
        bound.study.runs[0]
    )


def test_fault_of_ours_points_to_its_trace(tasks, tmp_path):
    def act(population):
        raise AttributeError("ours")

    found, _ = tasks(act)
    with pytest.raises(UserError, match=r"a worker failed; the end of workers\.log"):
        found.run()
    assert "in act" in (log := (tmp_path / "workers.log").read_text())
    assert "AttributeError: ours" in log


def test_run_that_another_has_is_left_until_it_is_free(bound, tasks, tmp_path, monkeypatch):
    """As that of a worker that has died with its node is, until its claim is stale."""
    held, free = (run.run_id for run in bound.study.runs[:2])
    started: list[str] = []
    looks: list[None] = []  # at the one that is held, since nothing else is left

    def is_claimed(folder: Path) -> bool:
        if folder.name == held and (tmp_path / free).exists():
            looks.append(None)
        return folder.name == held and len(looks) < 3

    monkeypatch.setattr(tasks_of, "is_claimed", is_claimed)
    found, _ = tasks(lambda population: population[0].folder.mkdir())
    start = found.start

    def told(population):
        started.append(population[0].run.run_id)
        return start(population)

    found.start = told
    assert found.run()
    assert started == [free, held]
    assert (tmp_path / held).exists()


def test_second_interrupt_ends_at_once(tasks, tmp_path):
    """Of tasks that do not listen."""
    pids = tmp_path / "pids"
    pids.mkdir()

    def act(population, pids):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        (pids / str(os.getpid())).touch()
        time.sleep(300)

    found, _ = tasks(act, pids)
    listen = found._listen

    def interrupt(follower):
        listen(follower)
        if len(list(pids.iterdir())) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    found._listen = interrupt
    with pytest.raises(KeyboardInterrupt):
        found.run()
    end = time.monotonic() + 60
    while any(is_alive(int(path.name)) for path in pids.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.1)
