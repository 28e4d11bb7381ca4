"""List studies and searches, with --data the texts, or with --parts the parts of a model.

example:
  windtunnel list
  windtunnel list --data
  windtunnel list --parts
"""

from __future__ import annotations

import argparse
import inspect

from scaling.common.answers import Answer, Rows, Shown
from scaling.common.command_line import Parser


def add(parser: Parser) -> None:
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--data", action="store_true", help="the sources of data.source and data.corpora instead"
    )
    kinds.add_argument(
        "--parts", action="store_true", help="mixers, feed-forwards and routers of model.pattern"
    )


def run(options: argparse.Namespace) -> Answer:
    yield from _sources() if options.data else _parts() if options.parts else _studies()
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


def _parts() -> Answer:
    """A row for each mixer, feed-forward, router and choice of recursions."""
    from models import part
    from scaling.common import plugins

    found: list[tuple[str, str, part.Part | part.Router | part.Recursion]] = [
        *(("mixer", name, part.mixer(name)) for name in plugins.names("models.mixers")),
        *(("feed-forward", name, part.feed_forward(name)) for name in plugins.names("models.ffn")),
        *(("router", name, part.router(name)) for name in plugins.names("models.routers")),
        *(("recursion", name, each) for name, each in part.RECURSIONS.items()),
    ]
    rows = []
    for kind, name, each in found:
        own = isinstance(each, part.Part) and each.settings is not None
        settings = vars(each.settings) if own else {}  # type: ignore[union-attr]
        kernels = each.kernels if isinstance(each, part.Part) else {}
        rows.append(
            (
                kind,
                name,
                "yes" if each.causal else "no",
                Shown(dict(settings), " ".join(f"{key}={x}" for key, x in settings.items())),
                Shown(
                    {platform: list(names) for platform, names in kernels.items()},
                    " ".join(f"{platform}:{names[0]}" for platform, names in kernels.items()),
                ),
                each.source,
            )
        )
    yield Rows("parts", ("kind", "name", "causal", "settings", "kernels", "source"), rows, left=6)
    return 0
