"""The programs `windtunnel` and `python -m ROOM`, which end by a stop signal at any time.

No more than the standard library is imported before such a signal is heard.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, preemption
INTERRUPTED = 75  # EX_TEMPFAIL


class StoppedError(KeyboardInterrupt):
    """A stop signal.

    After a plain KeyboardInterrupt in an `exec`, caught or not, Python ends by SIGINT.
    """


def stop(*_: object) -> NoReturn:
    raise StoppedError


def main(arguments: Sequence[str] | None = None, *rooms: str) -> int:
    """Run a command of these rooms, or of any.

    Exit codes: 0 done, 2 the user's mistake, 75 interrupted, or a command's own.
    """
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        from scaling.common import command_line
        from scaling.common.packages import ROOMS

        return command_line.main(partial(command_line.parser, *(rooms or ROOMS)), arguments)
    except KeyboardInterrupt:
        with suppress(OSError):
            print("stopped; give the same command again", file=sys.stderr)
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
