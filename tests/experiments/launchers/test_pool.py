"""Workers that are stopped, killed, or fail."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments import record
from experiments.devices.signals import STOP_SIGNALS
from experiments.devices.slot import Slot
from experiments.launchers._pool import train_all
from experiments.launchers.local import Local
from experiments.record import Status, StudyPart
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import run_sweep
from scaling.common.errors import UserError

# long enough to be caught in the act: thousands of dispatches
LONG = ["budget.tokens=6400000", "data.epochs=400"]


@pytest.fixture
def long(swept, tmp_path):
    """The same study, too long to end by itself here."""
    bound = replace(swept[0], folder=tmp_path)
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
    bound, victims, notes = replace(swept[0], folder=tmp_path), [], []
    kill = kill_when_training(2, victims)

    def watch(event: Event) -> None:
        notes.extend([event.note] if event.note else [])
        kill(event)

    run_sweep(bound, StudyPart.FIT, Local(1), watch)
    fit = bound.study.part(StudyPart.FIT)
    assert [bound.status(run) for run in fit] == ["completed", "diverged", "completed"]
    assert notes == [f"{run_id}: its worker ended (SIGKILL)" for run_id in victims]
    assert multiprocessing.active_children() == []


def test_stop_while_a_dead_worker_is_told_trains_no_more(swept, tmp_path):
    """The run of the dead worker waits again just after the stop emptied the queue."""
    bound = replace(swept[0], folder=tmp_path)
    kill = kill_when_training(1, [])

    def watch(event: Event) -> None:
        if event.note:
            signal.raise_signal(signal.SIGTERM)
        kill(event)

    run_sweep(bound, StudyPart.FIT, Local(1), watch)
    statuses = [bound.status(run) for run in bound.study.part(StudyPart.FIT)]
    assert statuses == ["started", "missing", "missing"]
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_run_whose_worker_is_always_killed_is_recorded_as_failed(swept, tmp_path):
    """A watcher kills at its every word, as want of memory would; the others are trained."""
    bound, doomed = replace(swept[0], folder=tmp_path), swept[0].study.runs[0].run_id

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
