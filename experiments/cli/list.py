"""List studies and searches, or with --data the texts.

example:
  windtunnel list
  windtunnel list --data
"""

from __future__ import annotations

import argparse
import inspect

from scaling.common.answers import Answer, Rows, Shown
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    parser.add_argument(
        "--data", action="store_true", help="the sources of data.source and data.corpora instead"
    )


def run(options: argparse.Namespace) -> Answer:
    yield from _sources() if options.data else _studies()
    return 0


def _studies() -> Answer:
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


def _sources() -> Answer:
    """A row for each source; the size is that of the files it reads, where it knows them."""
    from experiments.data import sources
    from scaling.common import plugins

    rows = []
    for name in plugins.names(sources.__name__):
        size, usage = sources.found_here(name)
        here = "" if size is None else f"{size / 1e6:.1f} MB" if size else "none here"
        rows.append((name, Shown(size, here), plugins.summary(sources.__name__, name), usage))
    yield Rows("sources", ("name", "size", "text", "usage"), rows, left=4)
    return 0
