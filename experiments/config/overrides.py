"""Strict overrides: ``path.to.field=value`` on frozen configs, typed by the field's annotation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from experiments.config.fields import field_types, from_text, leaves
from experiments.config.run import Execution, RunConfig, Science
from scaling.common.errors import UserError, nearest

Config = TypeVar("Config")


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


def override(config: RunConfig, assignments: Sequence[str]) -> RunConfig:
    """The config with every ``path=value`` applied; a later one replaces an earlier one."""
    values: dict[str, Any] = {}
    for text in assignments:
        path, value = split(text)
        if path not in paths():
            raise UserError(f"--set {path}: no such field; {nearest(path, paths())}")
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
    return attrgetter(".".join(_full(path)))(config)


def _full(path: str) -> list[str]:
    names = path.split(".")
    return names if names[0] == "execution" else ["science", *names]


def _apply(config: Config, tree: dict[str, Any]) -> Config:
    changes = {
        name: _apply(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in tree.items()
    }
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]
