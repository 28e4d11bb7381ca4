"""A worker that is asked to stop (SIGTERM) at a named point, at the nth time, and works on."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from experiments import record
from experiments.devices.slot import Slot
from experiments.launchers import _worker as worker
from experiments.runs import checkpoint, writer
from experiments.training.populations import member, programs
from scaling.common import files

# The function, a part of its first argument's text, and whether the signal comes after it
POINTS: dict[str, tuple[Any, str, str, bool]] = {
    "compile": (programs, "train_chunk", "", False),
    "save": (checkpoint.Checkpoints, "save", "", False),
    "saving": (checkpoint.Checkpoints, "save", "", True),
    "seal": (checkpoint, "seal", "", False),
    "row": (record, "append_rows", "", False),
    "evaluation": (member.Member, "_evaluations", "", False),
    "evaluated": (member.Member, "_evaluations", "", True),
    "summary": (writer, "write_summary", "", False),
    "summary file": (files, "write_bytes", record.SUMMARY, False),
    "summary written": (files, "write_bytes", record.SUMMARY, True),
}
# A launcher of one such worker: --resource point=save --resource nth=1
LAUNCHER = '''
"""Workers on this machine that are stopped at a named point."""

from functools import partial

import stopped
from experiments.launchers import _pool, local


def launcher(workers, resources):
    _pool.work = partial(stopped.work, resources["point"], int(resources["nth"]))
    return local.launcher(1, {})
'''


def stop_at(
    point: str,
    nth: int,
    stop: Callable[[], None],
    put: Callable[[Any, str, Any], None] = setattr,
) -> None:
    """Call `stop` at the nth time that this process comes to the point."""
    owner, name, where, is_after = POINTS[point]
    original, calls = getattr(owner, name), itertools.count(1)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        is_it = where in str(args[0]) and next(calls) == nth
        if is_it and not is_after:
            stop()
        found = original(*args, **kwargs)
        if is_it and is_after:
            stop()
        return found

    put(owner, name, trapped)


def work(point: str, nth: int, pipe: Connection, slot: Slot) -> None:
    """The main function of a worker that has its whole command stopped at the point.

    It goes on when its own signal has come, by way of the command.
    """
    came: list[int] = []
    handle = worker.handle_stop_signals

    def handle_and_tell(handler: Callable[[int], None]) -> None:
        def both(number: int) -> None:
            handler(number)
            came.append(number)

        handle(both)

    def stop() -> None:
        os.kill(os.getppid(), signal.SIGTERM)
        deadline = time.monotonic() + 60
        while not came:  # a longer wait may miss a signal that comes just before it
            assert time.monotonic() < deadline, "the command passes its signal on"
            time.sleep(0.01)

    worker.handle_stop_signals = handle_and_tell
    stop_at(point, nth, stop)
    worker.work(pipe, slot)
