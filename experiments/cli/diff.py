"""Compare the science of two runs: field, A, B. Exit code 1 if any field differs.

example:
  windtunnel diff runs/quickstart/RUN_A runs/quickstart/RUN_B
"""

from __future__ import annotations

import argparse

from experiments.record import reading_folder
from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.command_line import Parser

DIFFERENT = 1  # exit code, as of the shell's diff


def add(parser: Parser) -> None:
    parser.add_argument("run_a", type=reading_folder, metavar="RUN_A", help="a run's folder")
    parser.add_argument("run_b", type=reading_folder, metavar="RUN_B", help="another run's folder")


def run(options: argparse.Namespace) -> Answer:
    from experiments.config.diff import differences

    rows = differences(options.run_a, options.run_b)
    if not rows:
        yield Line("{verdict}", verdict="the same science")
        return 0
    cells = [[Shown(value, str(value) or "''") for value in row] for row in rows]
    yield Rows("differences", ("", "", ""), cells, left=3, keys=("field", "a", "b"))
    return DIFFERENT
