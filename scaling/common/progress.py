"""Progress of a command: its present task on stderr, once the command has taken two seconds.

A terminal shows the task with the time that it has taken, and a bar where its parts are counted;
elsewhere each task is a line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Timer
from typing import Any

PATIENCE = 2.0  # seconds before the first line


class Progress:
    """Tells tasks: `progress("fitting")`. The clock starts when the context opens.

    Output itself goes to stdout. A command with a display of its own calls `stop` before it.
    """

    def __init__(self, task: str, timer: Callable[..., Any] = Timer) -> None:
        self._task = task
        self._done, self._total = 0, 0  # parts of the task; 0 of 0: not counted
        self._bar: Any = None  # drawn now, on a terminal
        self._is_late = False
        self._lock = Lock()  # the clock rings in a thread of its own
        self._timer = timer(PATIENCE, self._overdue)
        self._timer.daemon = True

    def __enter__(self) -> Progress:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __call__(self, task: str, done: int = 0, total: int = 0) -> None:
        """Name the present task, and the parts of it that are done."""
        self._task, self._done, self._total = task, done, total
        if self._is_late:
            self._show()

    def stop(self) -> None:
        """Tell nothing more."""
        self._timer.cancel()
        self._is_late = False
        self.clear()

    def clear(self) -> None:
        """Take the bar off the terminal, for output; the next task draws it again."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def _overdue(self) -> None:
        self._is_late = True
        self._show()

    def _show(self) -> None:
        with suppress(OSError), self._lock:  # a closed pipe ends no work
            if sys.stderr is not None and sys.stderr.isatty():
                self._bar = self._bar or _bar()
                self._bar.update(
                    self._bar.task_ids[0],
                    description=self._task,
                    completed=self._done,
                    total=self._total or None,
                    refresh=True,
                )
            else:
                counted = f" ({self._done} of {self._total})" if self._total else ""
                print(f"  {self._task}{counted}", file=sys.stderr, flush=True)


def _bar() -> Any:
    """A bar of one task, on stderr; it moves to and fro where parts are not counted."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # which may be a pipe
        redirect_stderr=False,
    )
    bar.add_task("", total=None)
    bar.start()
    return bar
