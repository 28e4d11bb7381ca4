"""``python -m tpu``: what a run takes on a pod, before one is rented; and to rent one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Sequence

from scaling.arguments import Parser, exit_code
from tpu import verbs


def parser() -> Parser:
    """A verb for every file in tpu/verbs; what it does is its docstring."""
    top = Parser(prog="python -m tpu", description=inspect.getdoc(sys.modules[__name__]))
    table = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for found in sorted(pkgutil.iter_modules(verbs.__path__), key=lambda found: found.name):
        verb = importlib.import_module(f"{verbs.__name__}.{found.name}")
        text = inspect.getdoc(verb) or ""
        sub = table.add_parser(found.name, help=text.partition("\n")[0], description=text)
        verb.add(sub)
        sub.set_defaults(run=verb.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; a UserError is one line on stderr and exit status 2."""

    def command() -> int:
        options = parser().parse_args(arguments)
        return int(options.run(options))

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main())
