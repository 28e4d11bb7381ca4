"""List the studies and searches of the package.

example:
  python -m experiments list
"""

from __future__ import annotations

import argparse
import inspect

from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    from experiments import studies

    for command, kind in (("run", studies.STUDY), ("search", studies.SEARCH)):
        for name, file in studies.files(kind).items():
            headline, _, _ = (inspect.getdoc(file) or "").partition("\n")
            print(f"{name:20} {command:8} {headline}")
    return 0
