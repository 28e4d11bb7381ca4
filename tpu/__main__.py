"""``python -m tpu``: what a run on TPUs will need, and the commands that rent, watch and end it.

A command is a module of `tpu.verbs`: its docstring is its help, ``add(parser)`` its arguments and
``run(args)`` what it does.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from scaling.arguments import Parser, exit_code
from tpu import verbs


def parser() -> Parser:
    top = Parser(
        prog="python -m tpu",
        description="Plan a run on TPUs, rent them, watch the run and end it.",
        epilog="tpu/README.md goes from a fresh cloud project to a finished sweep.",
    )
    commands = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for found in pkgutil.iter_modules(verbs.__path__):
        verb = importlib.import_module(f"{verbs.__name__}.{found.name}")
        text = verb.__doc__ or ""
        sub = commands.add_parser(found.name, help=text.partition("\n")[0], description=text)
        verb.add(sub)
        sub.set_defaults(run=verb.run)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 2 the user's mistake, and those of the commands that were run."""

    def command() -> int:
        args = parser().parse_args(arguments)
        return int(args.run(args))

    return exit_code(command)


if __name__ == "__main__":
    sys.exit(main())
