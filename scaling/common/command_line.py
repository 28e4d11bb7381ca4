"""Command lines: argparse whose mistakes are `UserError`, and how such an error ends a command."""

from __future__ import annotations

import argparse
import errno
import inspect
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from scaling.common import plugins
from scaling.common.answers import add_json, deliver
from scaling.common.errors import UserError, nearest
from scaling.common.files import check_local
from scaling.common.packages import check_packages
from scaling.common.progress import Progress

MISTAKE = 2
INTERRUPTED = 75  # EX_TEMPFAIL: the same command may be given again
REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "check the path",
}


class Parser(argparse.ArgumentParser):
    """The parser of every command line here, keeping help texts laid out as written."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A UserError of a type names the option."""
        try:
            return super()._get_value(action, arg_string)
        except UserError as error:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            self.error(f"{name or action.dest} {error}")

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
        for action in self._actions:
            value = getattr(parsed, action.dest, None)
            if isinstance(value, Path):
                check_local(
                    "".join(action.option_strings[-1:]) or str(action.metavar or action.dest), value
                )
        return parsed, unknown


def add_commands(top: Parser, package: str) -> None:
    """Make every file of a plug-in folder a command, named after the file with - for _.

    A command's file defines `add(parser)` and `run(options)`. Its docstring is the help: the first
    line in the list of commands, all of it, with an example, in the command's own --help. `run`
    yields the parts of an answer and then has --json, or prints nothing but news of its work; both
    return the exit code. `options.progress("fitting")` names the present task.
    """
    check_packages(package.partition(".")[0])
    table = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in plugins.names(package):
        file = plugins.load(package, name, "command")
        text = inspect.getdoc(file) or ""
        command = name.replace("_", "-")
        sub = table.add_parser(command, help=text.partition("\n")[0], description=text)
        file.add(sub)
        if inspect.isgeneratorfunction(file.run):
            add_json(sub)
        sub.set_defaults(run=file.run)


def main(parser: Callable[[], Parser], arguments: Sequence[str] | None, stopped: str) -> int:
    """Run one command of a room: parse, work, print its answer, and the exit code.

    Exit codes: 0 done, 2 the user's mistake, 75 interrupted, or a command's own. `stopped` tells
    the remedy of an interrupt.
    """

    def command() -> int:
        options = parser().parse_args(arguments)
        with Progress(f"{options.command}: working") as options.progress:
            answer = options.run(options)
            return answer if isinstance(answer, int) else deliver(answer, options.json)

    try:
        return exit_code(command)
    except KeyboardInterrupt:
        _complain(f"stopped; {stopped}")
        return INTERRUPTED


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of a command, or 2 after a user's mistake, named in one line on stderr.

    So are refusals of the system: a full disk, a folder without the right to write, no memory.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the letters of a text
    try:
        try:
            return command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except UserError as error:
        return _complain(f"error: {error}")
    except BrokenPipeError:  # `... | head` is not an error; nothing more can be printed
        _drop_output()
        return 0
    except MemoryError as error:
        return _complain(f"error: not enough memory ({error}); ask for less, or use fewer rows")
    except OSError as error:
        if error.strerror is None:
            raise
        if error.filename is None:
            _drop_output()
        place = error.filename or "output"
        remedy = REMEDIES.get(error.errno or 0, "choose another place")
        return _complain(f"error: {place}: {error.strerror}; {remedy}")


def _complain(text: str) -> int:
    with suppress(OSError):
        print(text, file=sys.stderr)
    return MISTAKE


def _drop_output() -> None:
    """Send the rest of stdout nowhere, so that the interpreter's last flush succeeds."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
