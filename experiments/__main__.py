"""``python -m experiments``: run studies and searches and look at their records."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from scaling.common import command_line
from scaling.common.command_line import Parser, add_commands

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
    top = Parser(
        prog="python -m experiments",
        description="Run studies and searches and look at their records.",
        epilog=EPILOG,
    )
    add_commands(top, "experiments.cli")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all finished, 2 the user's mistake, 75 interrupted or to be tried again.

    Of diff: 0 the same science, 1 another.
    """

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # preempted: as Ctrl-C
    try:
        return command_line.main(parser, arguments, "the same command continues from there")
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
