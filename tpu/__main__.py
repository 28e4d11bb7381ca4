"""``python -m tpu``: estimate and compile runs for a pod, rent it, and follow the runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scaling.common.command_line import Parser, add_commands, exit_code


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
    """Exit codes: 0 done, 1 a run fits in no way, 2 the user's mistake, or a command's own."""

    def command() -> int:
        options = parser().parse_args(arguments)
        return int(options.run(options))

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main())
