"""From a file to its value: a study or a search, with the settings of a command line applied.

A plug-in's name or a path names the file. The parameters of its function are its settings. Every
mistake in such a file is one line that names the file's line.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from experiments.config.overrides import ALIASES, is_by_source, joined, meant, once
from experiments.plan import settings
from scaling.common import plugins
from scaling.common.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class FileKind(Generic[T]):
    """A kind of file: the function that it defines, the function's value, and its `--set` fields.

    A value has `override(assignments)` for the fields, and the fields `settings` and `file`.
    """

    package: str  # the plug-in folder of the files that come with the package
    function: str
    returns: type[T]
    fields: tuple[str, ...]


def module(kind: FileKind[Any], name: str) -> ModuleType:
    """The file of this name or path: ``quickstart`` or ``my/file.py``."""
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UserError(f"{name}: no such {kind.function} file")
        with _one_line(path):
            return plugins.from_path(path)
    with _one_line():
        return plugins.load(kind.package, name, kind.function)


def build(kind: FileKind[T], name: str, assignments: Sequence[str]) -> T:
    """The value of the file's function, with its settings and overrides applied.

    An assignment to a parameter of the function is a setting, any other one an override.
    """
    found = module(kind, name)
    make: Any = getattr(found, kind.function, None)
    if not callable(make):
        raise UserError(
            f"{name}: it defines no function '{kind.function}'; "
            f"see {kind.returns.__module__.replace('.', '/')}.py"
        )
    with _one_line(Path(inspect.getfile(found))):  # an annotation may name what is not there
        values, types = settings.defaults(make), settings.kinds(make)
    rest: dict[str, str] = {}
    aliases = {word: path for word, path in ALIASES.items() if word not in values}
    for key, value in once(assignments, aliases=aliases).items():
        if key in values:
            values[key] = settings.read(f"--set {key}", value, types[key])
        elif key in kind.fields or is_by_source(key):
            rest[key] = value
        else:
            hint = meant(key, [*values, *kind.fields])
            own = f"settings of {name}: {', '.join(values) or 'none'}"
            raise UserError(f"--set {key}: no such field; {hint}; {own}")
    if unset := [key for key, value in values.items() if value is inspect.Parameter.empty]:
        raise UserError(f"--set {unset[0]}=...: the {kind.function} '{name}' needs this setting")
    with _one_line(Path(inspect.getfile(found))):
        built = make(**values)
    if not isinstance(built, kind.returns):
        raise UserError(
            f"{name}: its function '{kind.function}' gives a {type(built).__name__}, "
            f"no {kind.returns.__name__}"
        )
    changed: Any = cast(Any, built).override(joined(rest))
    told = {key: settings.plain(value) for key, value in values.items()}
    file = str(Path(name).absolute()) if Path(name).suffix == ".py" else name
    file = "" if file == changed.name else file
    return cast(T, replace(changed, settings={**told, **rest}, file=file))


@contextmanager
def _one_line(file: Path | None = None) -> Iterator[None]:
    """Report an error in a user's file as one line, with the last line of the file in its trace.

    The file's code is the user's, so any exception may come.
    """
    try:
        yield
    except UserError:
        raise
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        raise UserError(f"{error.filename or file}{line}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if file and Path(frame.filename) == file.absolute()]
        last = (own or frames)[-1]
        lost = last.filename.startswith("<")  # an annotation as text
        where = file if lost and file else f"{last.filename}:{last.lineno}"
        text, _, _ = str(error).partition("\n")
        raise UserError(f"{where}: {type(error).__name__}: {text}") from error
