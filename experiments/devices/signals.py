"""Stop signals: SIGINT and SIGTERM ask a process to save a checkpoint and to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Hold stop signals back. A process started meanwhile inherits this until it unblocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def handle_stop_signals(handler: Callable[[int], None]) -> None:
    """Give stop signals to this handler for good, and unblock them; for a new process."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: handler(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def on_stop_signal(stop: Callable[[], bool]) -> Iterator[None]:
    """Call `stop` on the first stop signal; later ones go to the handlers of before.

    `stop` tells if there is anything to save. Where a signal was ignored, as Ctrl-C is by what a
    shell script starts in the background, later ones raise KeyboardInterrupt.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def first(*_: object) -> None:
        for number, handler in before.items():
            is_ignored = handler is signal.SIG_IGN
            signal.signal(number, signal.default_int_handler if is_ignored else handler)
        how = "saving checkpoints and stopping" if stop() else "stopping; there is nothing to save"
        print(f"{how}; interrupt again to stop at once", file=sys.stderr)

    for number in STOP_SIGNALS:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
