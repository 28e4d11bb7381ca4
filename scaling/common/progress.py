"""Progress of a command: its present task on stderr, once the command has taken two seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Timer
from typing import Any

PATIENCE = 2.0  # seconds before the first line


class Progress:
    """Tells tasks: `progress("fitting")`. The clock starts when the context opens.

    Output itself goes to stdout. A command with a display of its own calls `stop` before it.
    """

    def __init__(self, task: str, timer: Callable[..., Any] = Timer) -> None:
        self._task = task
        self._is_late = False
        self._timer = timer(PATIENCE, self._overdue)
        self._timer.daemon = True

    def __enter__(self) -> Progress:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __call__(self, task: str) -> None:
        """Name the present task."""
        self._task = task
        if self._is_late:
            self._show()

    def stop(self) -> None:
        """Tell nothing more."""
        self._timer.cancel()
        self._is_late = False

    def _overdue(self) -> None:
        self._is_late = True
        self._show()

    def _show(self) -> None:
        with suppress(OSError):  # a closed pipe ends no work
            print(f"  {self._task}", file=sys.stderr, flush=True)
