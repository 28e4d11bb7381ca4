"""``python -m tpu``: what a run takes on a pod, before one is rented; and to rent one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Sequence

from scaling.common.command_line import Parser, exit_code
from tpu import cli


def parser() -> Parser:
    """A verb for every file in tpu/verbs; what it does is its docstring."""
    top = Parser(
        prog="python -m tpu",
        description="Plan runs on accelerators, rent TPUs, watch the runs there and end them.",
        epilog="tpu/README.md goes from a fresh cloud project to a finished sweep.",
    )
    table = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for found in sorted(pkgutil.iter_modules(cli.__path__), key=lambda found: found.name):
        verb = importlib.import_module(f"{cli.__name__}.{found.name}")
        text = inspect.getdoc(verb) or ""
        sub = table.add_parser(found.name, help=text.partition("\n")[0], description=text)
        verb.add(sub)
        sub.set_defaults(run=verb.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a run fits in no way, 2 the user's mistake, or a command's own."""

    def command() -> int:
        options = parser().parse_args(arguments)
        return int(options.run(options))

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main())
