"""Settings of a study or search file: the parameters of its function, read from text.

A parameter has the type of its annotation, or else that of its default:

    bool                          true, false
    int, float, str, Path         as written; 1e6 is an int
    Literal, Enum                 one of the names
    tuple, list, set, Sequence    with commas: 64,128; items of their own type, or of the default's
    X | None                      none, or X
"""

from __future__ import annotations

import collections.abc as abc
import enum
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from experiments.config.fields import from_text
from scaling.common.errors import UserError, nearest

SEQUENCES: dict[Any, Callable[[Any], Any]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    abc.Sequence: tuple,
    abc.Iterable: tuple,
    abc.Collection: tuple,
}
BOOLS = {"true": True, "false": False}
NONE = "none"
PLAIN = (bool, int, float, str, Path)


def defaults(make: Callable[..., Any]) -> dict[str, Any]:
    """The settings of a function and their defaults, or `inspect.Parameter.empty`."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    known = inspect.signature(make).parameters.values()
    return {each.name: each.default for each in known if each.kind not in variadic}


def kinds(make: Callable[..., Any]) -> dict[str, Any]:
    """The type of every setting: its annotation, or else that of its default."""
    hints = get_type_hints(make)
    return {
        name: _narrow(hints.get(name, type(default)), default)
        for name, default in defaults(make).items()
    }


def read(name: str, text: str, kind: Any) -> Any:
    """The value of a setting; `name` opens an error, as "--set widths".

    Raises:
        UserError: the text is not of the type, or no text is.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _either(name, text, kind, inner)
    if kind is bool:
        if text.lower() not in BOOLS:
            raise UserError(f"{name}={text}: expected true or false")
        return BOOLS[text.lower()]
    if kind is Path:
        return Path(text)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        if text not in kind.__members__:
            raise UserError(f"{name}={text}: {nearest(text, kind.__members__)}")
        return kind[text]
    if origin is Literal or kind in (int, float, str):
        return from_text(name, text, kind)
    if origin in SEQUENCES:
        return _sequence(name, text, kind)
    raise UserError(
        f"{name}={text}: no text is of the type {getattr(kind, '__name__', kind)}; set it in the "
        "file, or annotate the parameter with bool, int, float, str, Path, a Literal, a tuple or "
        "list of these, or one of them or None"
    )


def plain(value: Any) -> Any:
    """A setting as JSON holds it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list | set | frozenset):
        items = list(map(plain, value))
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return value.name if isinstance(value, enum.Enum) else str(value)


def _narrow(kind: Any, default: Any) -> Any:
    """A type with that of its items: of a bare sequence, of those of its default."""
    if kind is type(None) or kind is inspect.Parameter.empty or default is kind:
        return str
    if kind not in SEQUENCES:
        return kind
    found = list({type(each) for each in default}) if isinstance(default, abc.Collection) else []
    item: Any = float if set(found) == {int, float} else found[0] if len(found) == 1 else str
    return types.GenericAlias(kind, (item, ...) if kind is tuple else (item,))


def _sequence(name: str, text: str, kind: Any) -> Any:
    """Items with commas between them; a tuple of fixed length has one type for each."""
    items = [each.strip() for each in text.split(",")] if text else []
    inner = [each for each in get_args(kind) if each is not Ellipsis]
    fixed = get_origin(kind) is tuple and Ellipsis not in get_args(kind)
    if fixed and len(items) != len(inner):
        raise UserError(f"{name}={text}: expected {len(inner)} values with commas between them")
    each = inner if fixed else inner[:1] * len(items)
    return SEQUENCES[get_origin(kind)](
        read(name, item, own) for item, own in zip(items, each, strict=True)
    )


def _either(name: str, text: str, kind: Any, inner: tuple[Any, ...]) -> Any:
    """The first type of a union that holds the text."""
    if type(None) in inner and text.lower() == NONE:
        return None
    for each in sorted(
        (each for each in inner if each is not type(None)), key=lambda each: each in (str, Path)
    ):
        try:
            return read(name, text, each)
        except UserError as error:
            last = error
    raise last
