"""Progress of a command: its present task, once it has taken two seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Timer

PATIENCE = 2.0  # seconds before the first line of progress


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Print the task to stderr after two seconds, and then every further task.

    The output itself goes to stdout. `with progress("fitting") as say: ...; say("next")`.
    """
    current, late = [task], Event()

    def show(text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    def overdue() -> None:
        late.set()
        show(current[0])

    def say(text: str) -> None:
        current[0] = text
        if late.is_set():
            show(text)

    timer = Timer(PATIENCE, overdue)
    timer.daemon = True
    timer.start()
    try:
        yield say
    finally:
        timer.cancel()
