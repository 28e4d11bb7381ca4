"""`python -m analysis`: from tables and records to laws, predictions, plans and figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scaling.common import command_line
from scaling.common.command_line import Parser, add_commands


def parser() -> Parser:
    """A command for every file in analysis/cli."""
    top = Parser(
        prog="python -m analysis",
        description="Fit scaling laws to tables of runs, plan the next run, predict held-out runs, "
        "write the report, draw published figures again.",
        epilog="examples:\n  python -m analysis report runs/quickstart\n"
        "  python -m analysis fit table.csv --law chinchilla --params n --tokens d",
    )
    add_commands(top, "analysis.cli")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit codes as of `command_line.main`, and of a command's own."""
    return command_line.main(parser, arguments, "give the same command again")


if __name__ == "__main__":
    sys.exit(main())
