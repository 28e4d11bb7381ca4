"""Strict overrides: ``path.to.field=value`` on frozen configs, typed by the field's annotation."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from experiments.config.fields import field_types, from_text, leaves
from experiments.config.run import Execution, RunConfig, Science
from scaling.common.errors import UserError

Config = TypeVar("Config")
ALIASES: Mapping[str, str] = {
    "lr": "optimizer.learning_rate",
    "wd": "optimizer.weight_decay",
    "bs": "batch.sequences",
}


def split(text: str, option: str = "--set") -> tuple[str, str]:
    """``key=value`` in two; anything else is a UserError."""
    key, equals, value = text.partition("=")
    if not (equals and key.strip()):
        raise UserError(f"{option} {text}: write it as name=value")
    return key.strip(), value.strip()


@cache
def paths(kind: type = RunConfig) -> tuple[str, ...]:
    """Every dotted path that can be set; the science needs no prefix."""
    if kind is RunConfig:
        return (*leaves(Science), *(f"execution.{path}" for path in leaves(Execution)))
    return tuple(leaves(kind))


def meant(word: str, known: Iterable[str]) -> str:
    """The hint that ends an error about an unknown field: those that the word may mean."""
    by_name: dict[str, list[str]] = {}
    for path in known:
        by_name.setdefault(path, []).append(path)
        by_name.setdefault(path.rpartition(".")[2], []).append(path)
    last = word.rpartition(".")[2]
    for each in (word, last):
        for close in difflib.get_close_matches(each, by_name, n=1, cutoff=0.6):
            return f"did you mean {' or '.join(map(repr, dict.fromkeys(by_name[close])))}?"
    return "windtunnel fields lists them"


def override(config: RunConfig, assignments: Sequence[str]) -> RunConfig:
    """The config with every ``path=value`` applied; a later one replaces an earlier one."""
    values: dict[str, Any] = {}
    for text in assignments:
        word, value = split(text)
        path = ALIASES.get(word, word)
        if path not in paths():
            raise UserError(f"--set {path}: no such field; {meant(path, paths())}")
        values[path] = from_text(f"--set {path}", value, kind_of(path))
    return assign(config, values)


def assign(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The config with every field's typed value set at once, so that checks see the whole."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *sections, leaf = _full(path)
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[leaf] = value
    return _apply(config, tree)


@cache
def kind_of(path: str) -> Any:
    """The annotated type of a field or of a whole section, such as ``model``."""
    kind: Any = RunConfig
    for name in _full(path):
        kind = field_types(kind)[name]
    return kind


def value_of(config: RunConfig, path: str) -> Any:
    """The value of a field or of a whole section."""
    return _getter(path)(config)


@cache
def _getter(path: str) -> attrgetter[Any]:
    return attrgetter(".".join(_full(path)))


def _full(path: str) -> list[str]:
    names = path.split(".")
    return names if names[0] == "execution" else ["science", *names]


def _apply(config: Config, tree: dict[str, Any]) -> Config:
    changes = {
        name: _apply(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in tree.items()
    }
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]
