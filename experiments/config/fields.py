"""The fields of frozen config classes: their paths, types, and conversion from text and JSON.

A field holds an int, float, str, a name of a Literal, a tuple of these, or a section: another
frozen dataclass. Each way in ends in the annotated type, so that equal configs have equal hashes:

    text     "960,1920"        a command line       `from_text`
    value    np.float64(0.5)   a study file         `from_value`
    JSON     [960, 1920]       a record             `from_json`, and out again `to_json`, `to_dict`

A text or value that the type cannot hold is a UserError that names the field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from scaling.common import quantities
from scaling.common.errors import UserError, nearest


@cache
def field_types(kind: type) -> Mapping[str, Any]:
    """The fields of a config class and their types, in order."""
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


@cache
def leaves(kind: type) -> Mapping[str, Any]:
    """Every dotted path of a config class below its sections, and its type."""
    found: dict[str, Any] = {}
    for name, inner in field_types(kind).items():
        if dataclasses.is_dataclass(inner):
            found |= {f"{name}.{path}": leaf for path, leaf in leaves(inner).items()}  # type: ignore[arg-type]
        else:
            found[name] = inner
    return found


def from_text(name: str, text: str, kind: Any) -> Any:
    """The text of a command line as a field's type; a tuple is written with commas: 960,1920.

    No text is the empty tuple. `name` opens an error: "--set budget.tokens".
    """
    if get_origin(kind) is tuple:
        return tuple(from_text(name, part, _item(kind)) for part in text.split(",") if text)
    if get_origin(kind) is Literal:
        return _choice(name, text, kind)
    try:
        return _READ[kind](text)
    except (ValueError, UserError) as error:
        several = "," in text and "; it has one value, a study's own setting may have several"
        raise UserError(f"{name}={text}: expected {kind.__name__}{several or ''}") from error


def from_value(name: str, value: Any, kind: Any) -> Any:
    """A value of a study file as a field's type.

    1, 1.0 and NumPy's numbers are one value of a float field; nothing else is converted.
    """
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise UserError(f"{name}={value!r}: expected a tuple, such as (1, 2)")
        return tuple(from_value(name, item, _item(kind)) for item in value)
    if get_origin(kind) is Literal:
        return _choice(name, value, kind)
    accepted = _ACCEPTED[kind]
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise UserError(f"{name}={value!r}: expected {kind.__name__}")
    return kind(value)


def from_json(name: str, value: Any, kind: Any) -> Any:
    """Parsed JSON as a field's type: a list is a tuple, all else as in `from_value`."""
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(from_json(name, item, _item(kind)) for item in value)
    return from_value(name, value, kind)


def to_json(value: Any, kind: Any) -> Any:
    """A field's value ready for JSON; 1 and 1.0 are one value of a float field."""
    if kind is int or kind is float:
        return kind(value)
    if isinstance(value, tuple):
        return [to_json(item, _item(kind)) for item in value]
    return to_dict(value) if dataclasses.is_dataclass(value) else value


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested dicts, ready for JSON."""
    kinds = field_types(type(config))  # type: ignore[arg-type]
    return {name: to_json(getattr(config, name), kind) for name, kind in kinds.items()}


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings under dotted names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _item(kind: Any) -> Any:
    """The type X of tuple[X, ...]."""
    item, _ = get_args(kind)
    return item


def _choice(name: str, value: Any, kind: Any) -> Any:
    choices = {str(choice): choice for choice in get_args(kind)}
    if str(value) not in choices:
        raise UserError(f"{name}={value}: {nearest(str(value), choices)}")
    return choices[str(value)]


_READ: Mapping[type, Callable[[str], Any]] = {
    int: quantities.integer,
    float: quantities.real,
    str: str,
}
_ACCEPTED: Mapping[type, type] = {int: Integral, float: Real, str: str}
