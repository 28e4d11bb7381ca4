"""A process pool that retries the runs of a worker that dies.

Each worker has its own pipe and shares no lock with another. So a worker killed at any moment
blocks no other; the pool starts another in its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import cast

from experiments.devices.signals import on_stop_signal, stop_signals_blocked
from experiments.devices.slot import Slot
from experiments.launchers._worker import give_up, work
from experiments.record import Status
from experiments.runs.job import Event, Job, Population
from scaling.common.errors import UserError

ATTEMPTS = 3  # at a run whose worker dies each time
LOOK = 1.0  # seconds of a wait: a signal that comes just before one is heard after it


def train_all(
    populations: Sequence[Population], slots: Sequence[Slot], watch: Callable[[Event], None]
) -> bool:
    """Train the populations in order, one worker per slot; `watch` gets every event.

    On SIGINT or SIGTERM every worker saves a checkpoint and ends, and this returns False, with
    runs left. A second signal acts at once. Each run of a killed worker is retried alone, and
    recorded as failed after `ATTEMPTS` deaths.

    Raises:
        UserError: of a worker, or a worker failed; the others save checkpoints and end first.
    """
    pool = _Pool(deque(populations), watch)
    with on_stop_signal(pool.stop):
        try:
            for slot in slots:
                pool.start(slot)
            while pool.workers:
                for pipe in cast("list[Connection]", wait(list(pool.workers), LOOK)):
                    pool.listen(pipe)
        finally:
            for worker in pool.workers.values():  # none, but on an error
                worker.process.kill()
                worker.process.join()
    if pool.errors:
        raise pool.errors[0]
    return not pool.stopped


@dataclass
class _Worker:
    process: SpawnProcess
    slot: Slot
    left: dict[str, Job] = field(default_factory=dict)  # of its population, not ended yet
    has_begun: bool = False  # it has sent an event, other than that it fails
    is_training: bool = False  # False while it compiles


@dataclass
class _Pool:
    waiting: deque[Population]
    watch: Callable[[Event], None]
    workers: dict[Connection, _Worker] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)  # times that a run's worker ended under it
    errors: list[UserError] = field(default_factory=list)
    stopped: bool = False

    def stop(self) -> bool:
        """Ask all workers to save and end; kill those that still compile: nothing to save.

        True if one saves.
        """
        self.stopped = True
        self.waiting.clear()
        for worker in self.workers.values():
            (worker.process.terminate if worker.is_training else worker.process.kill)()
        return any(worker.is_training for worker in self.workers.values())

    def start(self, slot: Slot) -> None:
        """Start one worker; stop signals are blocked until it has its handlers."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, slot), daemon=True)
        with stop_signals_blocked():
            process.start()
            self.workers[ours] = _Worker(process, slot)
        theirs.close()  # the worker has the only other end: its death ends the pipe
        self._hand_out(ours)

    def listen(self, pipe: Connection) -> None:
        """Take the next message of a worker, or its end."""
        try:
            message: Event | UserError = pipe.recv()
        except (EOFError, ConnectionResetError):
            self._reap(pipe)
            return
        if isinstance(message, UserError):
            self.errors.append(message)
            self.stop()
            return
        worker = self.workers[pipe]
        worker.has_begun = worker.has_begun or message.phase != "failing"
        worker.is_training = worker.is_training or message.phase != "compiling"
        self.watch(message)
        if isinstance(message.phase, Status):
            worker.left.pop(message.run_id, None)
            if not worker.left:
                self._hand_out(pipe)

    def _hand_out(self, pipe: Connection) -> None:
        population: Population | None = None
        if not self.stopped:
            with contextlib.suppress(IndexError):  # `stop` may empty it at any moment
                population = self.waiting.popleft()
        worker = self.workers[pipe]
        worker.left = {job.run.run_id: job for job in population or ()}
        worker.is_training = False
        with contextlib.suppress(BrokenPipeError):  # `listen` meets its end next
            pipe.send(population)

    def _reap(self, pipe: Connection) -> None:
        worker = self.workers.pop(pipe)
        worker.process.join()
        code = worker.process.exitcode or 0
        if code > 0 and not worker.has_begun:
            text = "a worker failed; the end of workers.log in the study's folder says why"
            self.errors.append(UserError(text))
            self.stop()
        elif not self.stopped:
            for job in worker.left.values():
                self._try_again(job, code)
            if self.waiting and not self.stopped:  # `stop` may come during the notes above
                self.start(worker.slot)

    def _try_again(self, job: Job, code: int) -> None:
        run_id, how = job.run.run_id, _how(code)
        self.ended[run_id] += 1
        if self.ended[run_id] < ATTEMPTS:
            self.watch(Event(run_id, Status.STARTED, note=f"{run_id}: its worker ended ({how})"))
            self.waiting.appendleft((job,))
        else:
            why = f"its worker ended {ATTEMPTS} times ({how}), perhaps for want of memory"
            give_up(job, f"{why}; --workers 1 needs less")
            self.watch(Event(run_id, Status.FAILED))


def _how(code: int) -> str:
    """The manner of a worker's end, by its exit code."""
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}" if code else "by itself"
