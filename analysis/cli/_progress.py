"""Progress: the present task of a command, once it has taken longer than anyone likes to wait."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Timer

PATIENCE = 2.0  # seconds before progress is worth a line


@contextmanager
def progress(task: str) -> Iterator[Callable[[str], None]]:
    """Print the task to stderr after two seconds, and from then on every task that is said.

    Output pastes well, for it goes to stdout. `with progress("fitting") as say: ...; say("next")`.
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
