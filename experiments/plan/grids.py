"""Grids of runs as values: the fields of each run, before there is any run.

An assignment maps fields ("model.width", "seed") to values; a grid is a tuple of assignments, all
different, in the order given. Grids combine:

    grid({f: u, g: v})   every combination of the values, the last field changing fastest
    zipped(a, b)         the first of a with the first of b, the second with the second, ...
    chain(a, b)          those of a, then those of b
    product(a, b)        each of a with each of b, b changing fastest
    where(a, keep)       those for which keep(assignment) is true
    seeds(n)             seeds 0 .. n-1

grid is the product of its fields; product and chain are associative, with the units ({},) and ().
A whole section may be given too, as in grid({"model": [model(w) for w in widths]}): it stands for
its fields. `configs` applies a grid to the config that all runs share; the designs of
experiments/plan/designs.py are grids rung by rung.

Errors: an unknown field, a value that its field cannot hold, a field set twice, a run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product as combinations
from typing import Any

from experiments.config.fields import field_types, from_value
from experiments.config.overrides import assign, kind_of, paths
from experiments.config.run import RunConfig
from scaling.common.errors import UserError, nearest

Value = int | float | str | tuple[Any, ...]
Assignment = Mapping[str, Value]
Grid = tuple[Assignment, ...]
RUNS_PER_SEED = 1000


def grid(fields: Mapping[str, Iterable[Any]]) -> Grid:
    """Every combination of the fields' values, the last field changing fastest."""
    return product(*(_axis(field, values) for field, values in fields.items()))


def seeds(n: int, first: int = 0) -> Grid:
    """The seeds first .. first + n - 1."""
    return grid({"seed": range(first, first + n)})


def first_seed(seed: int) -> int:
    """The seed of the first run of a study whose runs have seeds of their own: 1000 seed."""
    if seed < 0:
        raise UserError(f"seed={seed}: must be at least 0")
    return RUNS_PER_SEED * seed


def product(*grids: Grid) -> Grid:
    """Each assignment of the first with each of the second, ..., the last changing fastest."""
    return _distinct(_joined(parts) for parts in combinations(*grids))


def zipped(*grids: Grid) -> Grid:
    """The first assignments of all joined into one, then the second ones, ..."""
    lengths = [len(one) for one in grids]
    if len(set(lengths)) > 1:
        raise UserError(f"zipped: grids of {lengths} assignments; make them equally long")
    return _distinct(_joined(parts) for parts in zip(*grids, strict=True))


def chain(*grids: Grid) -> Grid:
    """The assignments of the first, then those of the second, ..."""
    return _distinct(assignment for one in grids for assignment in one)


def where(rows: Grid, keep: Callable[[Assignment], bool]) -> Grid:
    """The assignments for which `keep` is true, in their order."""
    return tuple(assignment for assignment in rows if keep(assignment))


def configs(base: RunConfig, rows: Grid) -> tuple[RunConfig, ...]:
    """The base with each assignment applied."""
    made = tuple(assign(base, assignment) for assignment in rows)
    first: dict[RunConfig, Assignment] = {}
    for config, assignment in zip(made, rows, strict=True):
        if config in first:
            raise UserError(
                f"{_text(first[config])} and {_text(assignment)}: the same run twice; "
                "the base has these values already"
            )
        first[config] = assignment
    return made


def _axis(field: str, values: Iterable[Any]) -> Grid:
    """The grid of one field, or of one section with all its fields."""
    rows = _distinct(_fields(field, value) for value in values)
    if not rows:
        raise UserError(f"{field}: no values; give at least one")
    return rows


def _fields(path: str, value: Any) -> Assignment:
    """A value as its field's type; a section as the values of its fields."""
    sections = {known.rpartition(".")[0] for known in paths()} - {""}
    if path not in paths() and path not in sections:
        raise UserError(f"{path}: no such field; {nearest(path, paths())}")
    kind = kind_of(path)
    if path in paths():
        return {path: from_value(path, value, kind)}
    if not isinstance(value, kind):
        raise UserError(f"{path}={value}: expected {kind.__name__}, or name one of its fields")
    return _joined([_fields(f"{path}.{name}", getattr(value, name)) for name in field_types(kind)])


def _joined(parts: Sequence[Assignment]) -> Assignment:
    whole: dict[str, Any] = {}
    for part in parts:
        for path in whole.keys() & part.keys():
            raise UserError(f"{path}: set twice, to {whole[path]} and to {part[path]}")
        whole.update(part)
    return whole


def _distinct(assignments: Iterable[Assignment]) -> Grid:
    rows = tuple(assignments)
    seen = set()
    for assignment in rows:
        key = frozenset(assignment.items())
        if key in seen:
            raise UserError(f"{_text(assignment)}: twice in one grid; drop one")
        seen.add(key)
    return rows


def _text(assignment: Assignment) -> str:
    return " ".join(f"{path}={value}" for path, value in assignment.items()) or "(nothing)"
