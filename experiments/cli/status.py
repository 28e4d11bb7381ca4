"""Show the status of each run of a study.

example:
  python -m experiments status quickstart
"""

from __future__ import annotations

import argparse

from experiments.cli import _common as common
from experiments.cli._run_table import print_runs
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    common.add_file(parser)


def run(options: argparse.Namespace) -> int:
    sweep = common.bind(options)
    print_runs(sweep, sweep.study.runs)
    return 0
