"""List the studies and searches, with their settings.

example:
  windtunnel list
"""

from __future__ import annotations

import argparse
import inspect

from scaling.common.answers import Answer, Rows, Shown
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    pass


def run(options: argparse.Namespace) -> Answer:
    from experiments import studies
    from experiments.plan.settings import defaults, plain

    rows = [
        (
            name,
            command,
            (inspect.getdoc(file) or "").partition("\n")[0],
            Shown({key: plain(value) for key, value in given.items()}, " ".join(given)),
        )
        for command, kind in (("run", studies.STUDY), ("search", studies.SEARCH))
        for name, file in studies.files(kind).items()
        for given in [defaults(getattr(file, kind.function))]
    ]
    yield Rows("studies", ("name", "command", "question", "settings"), rows, left=4)
    return 0
