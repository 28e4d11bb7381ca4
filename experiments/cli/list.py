"""List the studies and searches of the package.

example:
  windtunnel list
"""

from __future__ import annotations

import argparse
import inspect

from scaling.common.answers import Answer, Rows
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    pass


def run(options: argparse.Namespace) -> Answer:
    from experiments import studies

    rows = [
        (name, command, (inspect.getdoc(file) or "").partition("\n")[0])
        for command, kind in (("run", studies.STUDY), ("search", studies.SEARCH))
        for name, file in studies.files(kind).items()
    ]
    yield Rows("studies", ("name", "command", "question"), rows, left=3)
    return 0
