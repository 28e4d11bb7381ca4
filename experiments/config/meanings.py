"""The meaning, unit and range of every field, read where a config class declares it.

    tokens: int = 1_000_000  # of training [tokens]

A field's comment is its meaning: the lines of comment right above it, and those on its own lines. A
unit stands in brackets at the end. A section's comment stands before those of its fields. The words
"a file of models/routers" make the names of that plug-in folder the field's range.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from experiments.config.fields import field_types
from experiments.config.overrides import kind_of, paths, value_of
from experiments.config.run import BOUNDS, RunConfig
from scaling.common import plugins

UNIT = re.compile(r"(.*?) *\[([^\]]+)\]$", re.DOTALL)
FOLDER = re.compile(r"\bfiles? of ([\w/]+)")


@dataclass(frozen=True)
class Meaning:
    """A field, as a user needs to know it to set it."""

    field: str
    default: Any
    range: str  # the values that it takes
    unit: str
    text: str


def meanings() -> Iterator[Meaning]:
    """All fields of a run, in the order of `paths`."""
    default = RunConfig()
    for path in paths():
        text = ": ".join(filter(None, _comments(path)))
        found = UNIT.fullmatch(text)
        said, unit = (found[1], found[2]) if found else (text, "")
        yield Meaning(path, value_of(default, path), _range(path, said), unit, said)


def _range(path: str, text: str) -> str:
    """The choices of a field, or else its bounds, or else its type."""
    kind = kind_of(path)
    item = get_args(kind)[0] if get_origin(kind) is tuple else kind
    if folder := FOLDER.search(text):
        return ", ".join(plugins.names(folder[1].replace("/", ".")))
    if choices := get_args(item):
        return ", ".join(map(str, choices))
    bound = f", {BOUNDS[path][2]}" if path in BOUNDS else ""
    return f"{item.__name__}{bound}"


def _comments(path: str) -> Iterator[str]:
    """The comment of each section on the way to a field, and the field's own."""
    kind: Any = RunConfig
    names = path.split(".")
    for name in names if names[0] == "execution" else ["science", *names]:
        yield comments(kind).get(name, "")
        kind = field_types(kind)[name]


@cache
def comments(kind: type) -> Mapping[str, str]:
    """The comment of each field of a class that has one, inherited fields included."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if dataclasses.is_dataclass(each):
            found |= _declared(each)
    return found


def _declared(kind: type) -> dict[str, str]:
    source = inspect.cleandoc("\n" + inspect.getsource(kind))
    lines = source.splitlines()
    said = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for entry in node.body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            first, last = entry.lineno, entry.end_lineno or entry.lineno
            while lines[first - 2].lstrip().startswith("#"):
                first -= 1
            text = " ".join(said[line] for line in range(first, last + 1) if line in said)
            if text:
                found[entry.target.id] = text
    return found
