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
    from experiments.plan import study as studies
    from experiments.search.plan import SEARCHES

    for verb, shelf in (("run", studies.STUDIES), ("search", SEARCHES)):
        for name in studies.names(shelf):
            headline, _, _ = (inspect.getdoc(studies.module(name, shelf)) or "").partition("\n")
            print(f"{name:16} {verb:8} {headline}")
    return 0
