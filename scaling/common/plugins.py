"""Plug-ins: one file in a folder, found by its name.

A plug-in folder is a package. Each file in it is one plug-in, named after the file; a file that
begins with an underscore is a helper of the others. Adding a plug-in touches no other file.

Files outside the package are found too: with WINDTUNNEL_PLUGINS=/my/files, the folder
/my/files/scaling/laws is searched after scaling/laws, and so on for every plug-in folder.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
import tokenize
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from scaling.common.errors import UserError, nearest

T = TypeVar("T")
VARIABLE = "WINDTUNNEL_PLUGINS"
COMMAND = Path(__file__).parents[2] / ".venv" / "bin" / "windtunnel"  # as `make` installs it


def names(package: str) -> tuple[str, ...]:
    """The plug-ins of a package such as "scaling.laws", in alphabetical order."""
    return _names(package, os.environ.get(VARIABLE))


@cache
def _names(package: str, folder: str | None) -> tuple[str, ...]:
    """As `names`; a config asks for them whenever it is made."""
    found = (module.name for module in pkgutil.iter_modules(_folders(package)))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def files(package: str) -> tuple[str, ...]:
    """As `names`, by the files alone: a room asks for those of another, which it never imports."""
    homes = [str(Path(__file__).parents[2]), os.environ.get(VARIABLE)]
    folders = [str(Path(home, *package.split("."))) for home in homes if home]
    found = (module.name for module in pkgutil.iter_modules(folders))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def summary(package: str, name: str) -> str:
    """The first line of a plug-in's docstring, read without importing the file."""
    places = (Path(folder, f"{name}.py") for folder in _folders(package))
    file = next(place for place in places if place.exists())
    with tokenize.open(file) as text:
        first = next(tokenize.generate_tokens(text.readline))
    return str(ast.literal_eval(first.string)).partition("\n")[0]


def load(package: str, name: str, kind: str) -> ModuleType:
    """The file of one plug-in, imported.

    Raises:
        UserError: no such plug-in (the text begins with `kind` and ends with the nearest name), or
            a package that it needs is not installed.
    """
    known = names(package)
    if name not in known:
        raise UserError(f"{kind} '{name}': {nearest(name, known)}")
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        raise UserError(f"{kind} '{name}': {missing(error.name or '', name)}") from error


def find(package: str, name: str, kind: str, attribute: str) -> Any:
    """The value that the file of one plug-in defines under a name, such as ``PART``.

    Raises:
        UserError: as `load`, or the file does not define it.
    """
    public = not name.startswith("_")
    # imported before: a config asks for its parts whenever it is hashed
    file = (public and sys.modules.get(f"{package}.{name}")) or load(package, name, kind)
    if not hasattr(file, attribute):
        raise UserError(f"{file.__file__}: defines no '{attribute}'; compare its neighbours")
    return getattr(file, attribute)


def missing(package: str, extra: str = "") -> str:
    """The remedy for a package that is not installed: the extra that brings it, if one does.

    Of another Python than the one that `make` installed, it is that one, where the project itself
    is not installed or a package is absent that no extra brings.
    """
    known = _extras()
    elsewhere = COMMAND.exists() and Path(sys.prefix) != COMMAND.parents[1]
    if elsewhere and extra not in (known or ()):
        remedy = f"use {COMMAND}"
    elif extra in (known or ()):
        remedy = f"pip install -e '.[{extra}]'"
    else:
        remedy = "install it"
    return f"needs the package '{package}': {remedy}"


def import_extra(package: str, extra: str, purpose: str) -> Any:
    """The package that only some users need, or a UserError that names the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"{purpose} {missing(package, extra)}") from error


@cache
def _extras() -> frozenset[str] | None:
    """The extras of the installed project, or None where it is not installed."""
    from importlib import metadata  # takes long

    with suppress(metadata.PackageNotFoundError):
        return frozenset(metadata.metadata("windtunnel").get_all("Provides-Extra") or ())
    return None


def values(package: str, kind: type[T]) -> dict[str, T]:
    """All values of a type that the files of a package define at their top level, by `.name`.

    A value that a file imports from another counts once. Two values of one name are an error.
    """
    found: dict[str, T] = {}
    for module in (importlib.import_module(f"{package}.{name}") for name in names(package)):
        for value in vars(module).values():
            if isinstance(value, kind):
                name: str = value.name  # type: ignore[attr-defined]
                if found.setdefault(name, value) is not value:
                    raise UserError(f"{module.__file__}: a second {package} named '{name}'")
    return found


def from_path(path: Path) -> ModuleType:
    """A file outside any package, imported under a name made of its path."""
    spec = importlib.util.spec_from_file_location(f"file_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def _folders(package: str) -> list[str]:
    """The package's own folder, and the user's."""
    own = importlib.import_module(package)
    if folder := os.environ.get(VARIABLE):
        extra = str(Path(folder, *package.split(".")))
        if extra not in own.__path__:
            own.__path__.append(extra)
    return list(own.__path__)
