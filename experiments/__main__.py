"""``python -m experiments``: run studies and searches and look at their records."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # all else is imported where a stop signal is already heard
    from scaling.common.command_line import Parser

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, preemption
AGAIN = "the same command continues from there"
EPILOG = """examples:
  python -m experiments run quickstart
  python -m experiments run isoflop --set scale=gpu --set model.mlp=swiglu
  python -m experiments run quickstart --dry-run
  python -m experiments status quickstart
  python -m experiments mirror runs/quickstart --tracker tensorboard
  python -m experiments search lr_search --dry-run
  python -m experiments diff runs/quickstart/RUN_A runs/quickstart/RUN_B
"""


def parser() -> Parser:
    """A command for every file in experiments/cli."""
    from scaling.common.command_line import Parser, add_commands

    top = Parser(
        prog="python -m experiments",
        description="Run studies and searches and look at their records.",
        epilog=EPILOG,
    )
    add_commands(top, "experiments.cli")
    return top


class StoppedError(KeyboardInterrupt):
    """A stop signal.

    After a plain KeyboardInterrupt in an `exec`, caught or not, Python ends by SIGINT.
    """


def stop(*_: object) -> NoReturn:
    raise StoppedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all finished, 2 the user's mistake, 75 interrupted or to be tried again.

    Of diff: 0 the same science, 1 another.
    """
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        from scaling.common import command_line

        return command_line.main(parser, arguments, AGAIN)
    except StoppedError:
        print(f"stopped; {AGAIN}", file=sys.stderr)
        return os.EX_TEMPFAIL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
