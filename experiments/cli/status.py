"""Show the status of each run of a study.

example:
  python -m experiments status quickstart
"""

from __future__ import annotations

import argparse

from experiments.cli import _common as common
from experiments.cli._run_table import run_table
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    common.add_file(parser)


def run(options: argparse.Namespace) -> Answer:
    options.progress("reading the records")
    sweep = common.bind(options)
    yield from run_table(sweep, sweep.study.runs)
    for text in sweep.remarks():
        yield Line("{remark}", "remarks", remark=text)
    return 0
