"""Command lines: argparse whose mistakes are `UserError`, and how such an error ends a command.

Importing this file and asking for help need the standard library alone.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import inspect
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

from scaling.common import plugins
from scaling.common.answers import add_json, deliver
from scaling.common.errors import RIGHTS, UserError, nearest
from scaling.common.packages import ROOMS, check_packages
from scaling.common.progress import Progress

MISTAKE = 2
PROGRAM = "windtunnel"
PURPOSE = "Train ladders of models, fit their scaling laws, and plan and predict the bigger run."
PATHS = ("scaling.common.files", "scaling.common.remote")  # types of options that are paths
HERE = "name a place of this machine, and send it there with `windtunnel copy`"
SHELLS = ("bash", "zsh", "tcsh")
REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
    errno.EACCES: RIGHTS,
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "check the path",
}


class Help(argparse.RawDescriptionHelpFormatter):
    """Help laid out as written; a paragraph too wide for the terminal is filled anew.

    The default of an option stands in its help. Indented lines, the examples, stay as they are.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        groups = groupby(text.splitlines(), key=lambda line: line[:1] in ("", " "))
        lines: list[str] = []
        for is_kept, group in groups:
            paragraph = list(group)
            fits = is_kept or max(map(len, paragraph)) <= width
            lines += paragraph if fits else textwrap.wrap(" ".join(paragraph), width)
        return "\n".join(f"{indent}{line}".rstrip() for line in lines)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help, action.default
        if not action.option_strings or text is None or "default" in text:
            return text
        if default in (None, argparse.SUPPRESS, "") or isinstance(default, (bool, list, tuple)):
            return text
        home = isinstance(default, Path) and default.is_relative_to(Path.home())
        shown = (
            f"~/{default.relative_to(Path.home())}"
            if home
            else f"{default:g}"
            if isinstance(default, float)
            else str(default)
        )
        return f"{text} (default: {shown.replace('%', '%%')})"


class Parser(argparse.ArgumentParser):
    """The parser of every command line here, keeping help texts laid out as written.

    `declare` adds the arguments when the parser is first used, so that a command loads no other.
    """

    def __init__(self, declare: Callable[[Parser], None] | None = None, **settings: Any) -> None:
        settings.setdefault("formatter_class", Help)
        super().__init__(allow_abbrev=False, **settings)
        self._declare = declare
        self.more: Callable[[], str] = str  # the end of its help

    def declared(self) -> Parser:
        """Itself, with all its arguments."""
        declare, self._declare = self._declare, None
        if declare is not None:
            declare(self)
        return self

    def format_help(self) -> str:
        self.epilog = self.more()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A UserError of a type names the option."""
        try:
            return super()._get_value(action, arg_string)
        except UserError as error:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            self.error(f"{name or action.dest} {error}")
        except argparse.ArgumentError:
            self._check_value(action, arg_string)  # names the choices, where there are any
            raise

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            hint = nearest(str(value), map(str, action.choices))
            self.error(f"{name or action.dest} '{value}': {hint}")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        parsed, unknown = super(Parser, self.declared()).parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            raise UserError(f"{word}: no such argument of {self.prog}; {self._meant(word)}")
        for action in self._actions:
            value = getattr(parsed, action.dest, None)
            if isinstance(value, Path):
                from scaling.common.remote import check_local

                name = "".join(action.option_strings[-1:]) or str(action.metavar or action.dest)
                check_local(name, value, HERE)
        return parsed, unknown

    def _meant(self, word: str) -> str:
        """The option that an unknown one may mean; settings are no options."""
        name = word.lstrip("-")
        known = {option.lstrip("-"): option for option in self._option_string_actions}
        if name == word:
            return "see --help"
        for close in difflib.get_close_matches(name, known, n=1, cutoff=0.5):
            return f"did you mean '{known[close]}'?"
        return f"write a setting as --set {name}=VALUE" if "set" in known else "see --help"


def commands(top: Parser) -> Iterator[tuple[str, Parser]]:
    """All commands below a parser with their words: `run`, `tpu launch`."""
    for action in top.declared()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                below = [(f"{name} {words}", each) for words, each in commands(command)]
                yield from below or [(name, command)]


def parser(*rooms: str) -> Parser:
    """The commands of one room; or of several, where a room's word stands before its commands.

    Each file of a room's plug-in folder `cli` is a command, named after the file with - for _. It
    defines `add(parser)` and `run(options)`. Its docstring is the help: the first line in the list
    of commands, all of it, with an example, in the command's own --help. `run` yields the parts of
    an answer and then has --json, or prints nothing but news of its work; both return the exit
    code. `options.progress("fitting")` names the present task.
    """
    word = ROOMS[rooms[0]].word if len(rooms) == 1 else ""
    top = Parser(prog=f"{PROGRAM} {word}".strip(), declare=partial(_add_rooms, rooms=rooms))
    top.add_argument("--version", action=Version, nargs=0, help="print the versions of all parts")
    top.add_argument(
        "--print-completion",
        action=Completion,
        choices=SHELLS,
        help="print the script by which a shell completes commands",
    )
    return top


def _add_rooms(top: Parser, rooms: Sequence[str]) -> None:
    check_packages(*rooms)
    texts = [inspect.getdoc(importlib.import_module(f"{room}.cli")) or "" for room in rooms]
    words = {room: "" if len(rooms) == 1 else ROOMS[room].word for room in rooms}
    top.description = texts[0] if len(rooms) == 1 else PURPOSE
    heads = ["commands:"] if len(rooms) == 1 else [text.partition("\n")[0] for text in texts]
    top.more = lambda: "\n\n".join(map(_listing, heads, rooms, words.values()))
    top.usage = f"{top.prog} [options] COMMAND ..."
    table = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog=top.prog
    )
    homes: dict[str, list[str]] = {}
    for room in rooms:
        for name in [words[room]] if words[room] else _names(room):
            homes.setdefault(name, []).append(room)
    for name, found in homes.items():
        declare = (
            partial(_add_rooms, rooms=found)
            if name == words[found[0]]
            else partial(_add_command, name=name, rooms=found)
        )
        table.add_parser(name, declare=declare, help="")  # a command of which shells may know


def _names(room: str) -> list[str]:
    return [name.replace("_", "-") for name in plugins.names(f"{room}.cli")]


def _listing(head: str, room: str, word: str) -> str:
    """The commands of a room, each with its first line."""
    lines = [head]
    for name in _names(room):
        said = plugins.summary(f"{room}.cli", name.replace("-", "_"))
        before, width = f"  {f'{word} {name}'.strip():<18}", shutil.get_terminal_size().columns
        lines += textwrap.wrap(
            said, width, initial_indent=before, subsequent_indent=" " * len(before)
        )
    return "\n".join(lines)


def _add_command(parser: Parser, name: str, rooms: Sequence[str]) -> None:
    """Load a command's file, and declare its arguments.

    Raises:
        UserError: two rooms have a command of this name, which a plug-in can bring about.
    """
    if len(rooms) > 1:
        raise UserError(f"'{name}' is a command of {' and '.join(rooms)}; rename the file of one")
    check_packages(*ROOMS[rooms[0]].uses)
    file = plugins.load(f"{rooms[0]}.cli", name.replace("-", "_"), "command")
    parser.description = inspect.getdoc(file)
    file.add(parser)
    if inspect.isgeneratorfunction(file.run):
        add_json(parser)
    parser.set_defaults(run=file.run)


class Version(argparse.Action):
    """Print the versions of this project, of Python and of JAX."""

    def __call__(self, *_: object) -> NoReturn:
        import platform
        from importlib.metadata import version

        parts = (f"{name} {version(name)}" for name in (PROGRAM, "jax"))
        print(", ".join([*parts, f"Python {platform.python_version()}"]))
        raise SystemExit(0)


class Completion(argparse.Action):
    """Print the completion script of a shell."""

    def __call__(self, parser: Any, _: object, shell: Any, __: object = None) -> NoReturn:
        import shtab

        _complete(parser, shtab.FILE)
        print(shtab.complete(parser, shell))
        raise SystemExit(0)


def _complete(parser: Parser, path: Any) -> None:
    """Show a shell all commands below a parser, and the options that are paths."""
    for action in parser.declared()._actions:
        if isinstance(action, argparse._SubParsersAction):
            action.help = None  # in its own help, `more` lists them
            for command in action.choices.values():
                _complete(command, path)
        elif action.type is Path or getattr(action.type, "__module__", "") in PATHS:
            action.complete = path  # type: ignore[attr-defined]


def main(parser: Callable[[], Parser], arguments: Sequence[str] | None = None) -> int:
    """Run one command: parse, work, print its answer, and the exit code.

    Exit codes: 0 done, 2 the user's mistake, or a command's own.
    """

    def command() -> int:
        options = parser().parse_args(arguments)
        with Progress(f"{options.command}: working") as options.progress:
            answer = options.run(options)
            return (
                answer
                if isinstance(answer, int)
                else deliver(answer, options.json, options.progress.clear)
            )

    return exit_code(command)


def exit_code(command: Callable[[], int]) -> int:
    """The exit code of a command, or 2 after a user's mistake, named in one line on stderr.

    So are refusals of the system: a full disk, a folder without the right to write, no memory.
    A closed pipe, as of `... | head`, ends no work and changes no code.
    """
    _outlive_readers()
    try:
        try:
            return command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except UserError as error:
        return _complain(f"error: {error}")
    except ModuleNotFoundError as error:
        if (name := error.name or "").partition(".")[0] in (*ROOMS, "scaling", "models"):
            raise
        return _complain(f"error: {PROGRAM} {plugins.missing(name)}")
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


class _Output(io.FileIO):
    """A standard stream that loses its text, and raises nothing, after the given errors."""

    def __init__(self, number: int, lost: type[OSError]) -> None:
        super().__init__(number, "w", closefd=False)
        self._lost = lost

    def write(self, text: Any) -> int:
        try:
            return super().write(text)
        except self._lost:
            return len(text)


def _outlive_readers() -> None:
    """Make stdout survive a closed pipe, and stderr any error; both, letters that they lack."""
    for name, lost in (("stdout", BrokenPipeError), ("stderr", OSError)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.flush()
            raw = _Output(stream.fileno(), lost)
            unbuffered = stream.write_through
            made = io.TextIOWrapper(
                raw if unbuffered else io.BufferedWriter(raw),
                stream.encoding,
                errors="replace",  # a terminal without the letters of a text
                line_buffering=stream.line_buffering,
                write_through=unbuffered,
            )
            setattr(sys, name, made)


def _complain(text: str) -> int:
    with suppress(OSError):
        print(text, file=sys.stderr)
    return MISTAKE


def _drop_output() -> None:
    """Send the rest of stdout nowhere, so that the interpreter's last flush succeeds."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
