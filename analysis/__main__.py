"""`python -m analysis`: from tables and records to laws, predictions, plans and figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scaling.common.command_line import Parser, add_commands, exit_code


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
    """Run one command; a UserError is one line on stderr and exit status 2."""

    def command() -> int:
        options = parser().parse_args(arguments)
        return int(options.run(options))

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main())
