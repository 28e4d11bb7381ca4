"""Command lines: argparse whose mistakes are `UserError`, and how such an error ends a command."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from scaling.common import plugins
from scaling.common.errors import UserError, nearest


class Parser(argparse.ArgumentParser):
    """The parser of every command line here, keeping help texts laid out as written."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            hint = nearest(str(value), map(str, action.choices))
            self.error(f"{name or action.dest} '{value}': {hint}")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            hint = nearest(word, self._option_string_actions) if word.startswith("-") else ""
            raise UserError(f"{word}: no such argument of {self.prog}; {hint or 'see --help'}")
        return parsed, unknown


def add_commands(top: Parser, package: str) -> None:
    """Make every file of a plug-in folder a command, named after the file with - for _.

    A command's file defines `add(parser)` and `run(options) -> int`. Its docstring is the help: the
    first line in the list of commands, all of it, with an example, in the command's own --help.
    """
    table = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in plugins.names(package):
        file = plugins.load(package, name, "command")
        text = inspect.getdoc(file) or ""
        command = name.replace("_", "-")
        sub = table.add_parser(command, help=text.partition("\n")[0], description=text)
        file.add(sub)
        sub.set_defaults(run=file.run)


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of a command, or 2 after a user's mistake, named in one line on stderr."""
    try:
        code = command()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head` is not an error; nothing more can be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
