"""`python -m analysis`: from tables and records to laws, predictions, plans and pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analysis.cli import coordinate_check, figure, fit, laws, plan, predict, recommend, report
from scaling.common.command_line import Parser, exit_code

COMMANDS = (fit, plan, laws, figure, predict, report, recommend, coordinate_check)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a UserError is one line on stderr and exit status 2."""

    def command() -> int:
        options = _parser().parse_args(arguments)
        return int(options.run(options))

    return exit_code(command)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m analysis",
        description="Fit scaling laws to tables of runs, plan the next run, predict held-out runs, "
        "write the report, draw published figures again.",
        epilog="examples:\n  python -m analysis report runs/quickstart\n"
        "  python -m analysis fit table.csv --law chinchilla --params n --tokens d",
    )
    names = "|".join(command.__name__.rsplit(".", 1)[-1].replace("_", "-") for command in COMMANDS)
    commands = parser.add_subparsers(dest="command", required=True, metavar=names)
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
