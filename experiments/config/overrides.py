"""Strict overrides: ``path.to.field=value`` on frozen configs, typed by the field's annotation."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, get_args

from experiments.config.data import source_names
from experiments.config.fields import field_types, from_text, leaves
from experiments.config.run import Execution, RunConfig, Science
from scaling.common.errors import UserError, nearest

Config = TypeVar("Config")
MIXTURE = "data.mixture"  # the weights of all sources, by name
BY_SOURCE: Mapping[str, Any] = {"data.weights": 0.0, "data.unique_tokens": 0, "data.repeats": 1}
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


def once(
    assignments: Iterable[str], option: str = "--set", aliases: Mapping[str, str] = ALIASES
) -> dict[str, str]:
    """The value of each key of ``key=value``, by its path where it is an alias.

    Raises:
        UserError: a key has two values.
    """
    found: dict[str, str] = {}
    for text in assignments:
        word, value = split(text, option)
        key = aliases.get(word, word)
        if found.setdefault(key, value) != value:
            raise UserError(f"{option} {text}: {key} is {found[key]} already; give it once")
    return found


def joined(values: Mapping[str, str]) -> list[str]:
    """The texts that `once` reads."""
    return [f"{key}={value}" for key, value in values.items()]


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
        if is_by_source(path):
            config = assign(config, values)
            values = _by_source(config, path, value)
            continue
        if path not in paths():
            raise UserError(f"--set {path}: no such field; {meant(path, paths())}")
        values[path] = from_text(f"--set {path}", value, kind_of(path))
    return assign(config, values)


def is_by_source(path: str) -> bool:
    """True for data.mixture, and for data.weights.web, the number of one source by its name."""
    return path == MIXTURE or any(path.startswith(f"{field}.") for field in BY_SOURCE)


def _by_source(config: RunConfig, path: str, text: str) -> dict[str, Any]:
    """The numbers of all sources, of which a path gives one, or the weights of data.mixture.

    Raises:
        UserError: no such source, or no number.
    """
    names = source_names(config.science.data)
    given = {path: text}
    if path == MIXTURE:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UserError(f'--set {path}={text}: write it as {{"web": 0.7, "code": 0.3}}')
        given = {f"data.weights.{name}": str(weight) for name, weight in found.items()}
    field = "data.weights" if path == MIXTURE else next(f for f in BY_SOURCE if path.startswith(f))
    old = () if path == MIXTURE else value_of(config, field)
    numbers = list(old or (BY_SOURCE[field],) * len(names))
    for full, value in given.items():
        name = full.removeprefix(f"{field}.")
        if name not in names:
            raise UserError(f"--set {full}: no source '{name}' in data.corpora; "
                            f"{nearest(name, names) if names else 'name them there'}")  # fmt: skip
        kind = get_args(kind_of(field))[0]
        numbers[names.index(name)] = from_text(f"--set {full}", value, kind)
    return {field: tuple(numbers)}


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


def values_of(configs: Iterable[RunConfig], path: str) -> list[Any]:
    """The values of a field in several configs."""
    return list(map(_getter(path), configs))


@cache
def _getter(path: str) -> attrgetter[Any]:
    return attrgetter(attribute(path))


def attribute(path: str) -> str:
    """The dotted attribute of a config at a path: ``science.model.width`` of ``model.width``."""
    return ".".join(_full(path))


def _full(path: str) -> list[str]:
    names = path.split(".")
    return names if names[0] == "execution" else ["science", *names]


def _apply(config: Config, tree: dict[str, Any]) -> Config:
    changes = {
        name: _apply(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in tree.items()
    }
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]
