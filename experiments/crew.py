"""Packs of jobs over worker processes: hand out, listen, stop. None is lost by one that dies.

Each worker has its own pipe and shares no lock with another, so that one that is killed, whenever
that is, cannot hold up the rest.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import cast

from experiments.job import Event, Pack
from experiments.record import Status
from experiments.worker import STOP_SIGNALS, Bench, work
from scaling.errors import UserError

ENDED = (0, -signal.SIGTERM)  # by itself; or asked to stop just when it started or ended


def train_all(
    packs: Sequence[Pack], benches: Sequence[Bench], watch: Callable[[Event], None]
) -> bool:
    """Train the packs in order, one worker per bench; `watch` hears every event.

    SIGINT or SIGTERM: every worker saves a checkpoint and ends, and this returns False, with packs
    left. A second one acts at once. A UserError of one worker stops all in the same way and is
    raised.
    """
    waiting = deque(packs)
    stopped = threading.Event()
    errors: list[UserError] = []
    crew: dict[Connection, SpawnProcess] = {}
    left: dict[Connection, int] = {}  # runs of each worker's pack that have not had their last word

    def hand_out(pipe: Connection) -> None:
        pack: Pack | None = None
        with contextlib.suppress(IndexError):  # `stop` may empty it at any moment
            pack = waiting.popleft()
        left[pipe] = len(pack or ())
        _send(pipe, pack)

    def stop() -> None:
        stopped.set()
        waiting.clear()
        for process in crew.values():
            process.terminate()

    with _on_signal(stop):
        try:
            crew.update(_hire(bench) for bench in benches)
            for pipe in crew:
                hand_out(pipe)
            while crew:
                for pipe in cast("list[Connection]", wait(list(crew))):
                    message = _receive(pipe, crew)
                    if isinstance(message, UserError):
                        errors.append(message)
                        stop()
                    elif message is not None:
                        watch(message)
                        left[pipe] -= isinstance(message.phase, Status)
                        if not left[pipe]:
                            hand_out(pipe)
        finally:
            for process in crew.values():  # none, unless we leave in haste
                process.kill()
                process.join()
    if errors:
        raise errors[0]
    return not stopped.is_set()


def _hire(bench: Bench) -> tuple[Connection, SpawnProcess]:
    """Start one worker; stop signals wait until it has its handlers."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, bench), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()  # the worker's end is its own, so that its death is the end of the pipe
    return ours, process


def _send(pipe: Connection, pack: Pack | None) -> None:
    with contextlib.suppress(BrokenPipeError):  # the end of the pipe comes next, and says why
        pipe.send(pack)


def _receive(pipe: Connection, crew: dict[Connection, SpawnProcess]) -> Event | UserError | None:
    """What a worker says next; when it has ended it leaves the crew, with an error if it failed."""
    try:
        message: Event | UserError = pipe.recv()
        return message
    except (EOFError, ConnectionResetError):
        process = crew.pop(pipe)
        process.join()
    code = process.exitcode or 0
    if code in ENDED:
        return None
    if code < 0:
        return UserError(
            f"a worker was killed (signal {-code}), perhaps for want of memory; the "
            "same command goes on from the last checkpoints, --workers 1 needs less memory"
        )
    return UserError("a worker failed; the end of workers.log in the study's folder says why")


@contextlib.contextmanager
def _on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Meanwhile the first stop signal calls `stop`; the next one does what it always did."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def first(*_: object) -> None:
        restore()
        print("saving checkpoints and stopping; interrupt again to stop at once", file=sys.stderr)
        stop()

    for number in STOP_SIGNALS:
        signal.signal(number, first)
    try:
        yield
    finally:
        restore()
