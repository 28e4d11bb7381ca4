"""A real worker process that kills itself (SIGKILL) at a named point, at the nth time.

The points lie here and not in the product: each traps one function of it.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from experiments import record
from experiments.devices.slot import Slot
from experiments.launchers import _worker as worker
from experiments.runs import checkpoint, writer
from experiments.runs.checksums import SEAL
from experiments.training import derived, trainer
from experiments.training.populations import member, programs
from scaling.common import files


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_soon(most: float) -> None:
    """Die during the next call, in C++ or in a thread."""
    threading.Timer(random.uniform(0, most), die).start()


def at(owner: Any, name: str, nth: int, trap: Callable[..., None], where: str = "") -> None:
    """At the nth call of this function with `where` in its first argument run `trap`, then it."""
    original, calls = getattr(owner, name), itertools.count(1)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        if where in str(args[0]) and next(calls) == nth:
            trap(original, *args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, trapped)


def now(*_: Any, **__: Any) -> None:
    die()


def soon(*_: Any, **__: Any) -> None:
    die_soon(0.05)


def after(original: Callable[..., Any], *args: Any) -> None:
    original(*args)
    die()


def while_saving(original: Callable[..., Any], *args: Any) -> None:
    die_soon(0.03)
    original(*args)


def half_a_row(original: Callable[..., Any], path: Any, rows: Any) -> None:
    text = "".join(map(files.line, rows))
    with path.open("a", encoding="utf-8") as file:
        file.write(text[: len(text) // 2])
    die()


def before_the_name(_: Any, path: Any, content: bytes, *__: Any) -> None:
    """The new file is written beside the old one and has not taken its name."""
    path.with_name(f"{path.name}.0{record.SCRATCH}").write_bytes(content[: len(content) // 2])
    die()


# Points met once, points met repeatedly, and points at the end of a run
AT_THE_START: dict[str, Callable[[int], None]] = {
    "config": lambda nth: at(files, "write_bytes", 1, before_the_name, record.CONFIG),
}
ON_THE_WAY: dict[str, Callable[[int], None]] = {
    "resume": lambda nth: at(record, "rewrite_rows", 1, now),
    "trace": lambda nth: at(programs, "train_chunk", 1, now),
    "compile": lambda nth: at(programs, "train_chunk", 1, soon),
    "step": lambda nth: at(trainer._Loop, "_fetch", 2 + nth, now),
    "save": lambda nth: at(checkpoint.Checkpoints, "save", nth, while_saving),
    "seal": lambda nth: at(checkpoint, "seal", nth, now),
    "sealing": lambda nth: at(files, "write_bytes", nth, before_the_name, SEAL),
    "row": lambda nth: at(record, "append_rows", nth, half_a_row),
    "rows": lambda nth: at(record, "append_rows", nth, after),
}
AT_THE_END: dict[str, Callable[[int], None]] = {
    "validate": lambda nth: at(member.Member, "_evaluations", 1, now),
    "summary": lambda nth: at(files, "write_bytes", 1, before_the_name, record.SUMMARY),
    "before summary": lambda nth: at(writer, "write_summary", 1, now),
    "summary written": lambda nth: at(files, "write_bytes", 1, after, record.SUMMARY),
}
# Of a derived run: its parents are read, and its own state is not made yet
DERIVED: dict[str, Callable[[int], None]] = {
    "derive": lambda nth: at(derived, "fresh_state", 1, now),
}
POINTS = {**AT_THE_START, **ON_THE_WAY, **AT_THE_END}


def live(pipe: Connection, slot: Slot, point: str | None, nth: int) -> None:
    """The main function of a process: a worker, with one trap or none."""
    if point is not None:
        random.seed(f"{point} {nth}")
        {**POINTS, **DERIVED}[point](nth)
    worker.work(pipe, slot)
