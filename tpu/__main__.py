"""``python -m tpu``: estimate and compile runs for a pod, rent it, and follow the runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scaling.common import command_line
from scaling.common.command_line import Parser, add_commands


def parser() -> Parser:
    """A command for every file in tpu/cli."""
    top = Parser(
        prog="python -m tpu",
        description="Plan runs on accelerators, rent TPUs, watch the runs there and end them.",
        epilog="tpu/README.md goes from a fresh cloud project to a finished sweep.",
    )
    add_commands(top, "tpu.cli")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a run fits in no way, 2 the user's mistake, 75 interrupted."""
    return command_line.main(parser, arguments, "give the same command again")


if __name__ == "__main__":
    sys.exit(main())
