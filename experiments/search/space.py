"""The space of a search: fields of a run's config, each with a distribution.

    {"optimizer.learning_rate": LogUniform(1e-3, 1e-1), "optimizer.beta2": Choice((0.95, 0.99))}

`Uniform` and `LogUniform` are for float fields; any other field, or a whole section such as
``model``, is a `Choice`. A point of a space gives each field a number: its value, or the index of a
choice, from 0.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from experiments.config.overrides import assign, kind_of
from experiments.config.run import RunConfig
from experiments.config.schedule import ScheduleConfig
from experiments.config.unread import READ_IF, is_read, why
from experiments.plan.grids import Assignment, Grid, grid, product
from scaling.common.errors import UserError

DIGITS = 4  # significant ones of a drawn number, which is then the same on every machine


@dataclass(frozen=True)
class Uniform:
    """A uniform number from `low` to `high`."""

    low: float
    high: float

    def at(self, u: float) -> float:
        return self.low + u * (self.high - self.low)


@dataclass(frozen=True)
class LogUniform:
    """A number from `low` to `high` with a uniform logarithm."""

    low: float
    high: float

    def at(self, u: float) -> float:
        return self.low * (self.high / self.low) ** u


@dataclass(frozen=True)
class Choice:
    """One of the values, with equal probability."""

    values: Sequence[Any]

    def at(self, u: float) -> int:
        return int(u * len(self.values))


Distribution = Uniform | LogUniform | Choice
Space = Mapping[str, Distribution]
Point = Mapping[str, float]

# Fields that would make candidates incomparable, or that the search sets
FIXED = {
    "budget": "a search sets the budgets; budget.tokens of its base is the budget 1",
    "data": "all candidates learn from the same data",
    "evaluation": "all candidates are scored alike",
    "execution": "it cannot change a result",
    "schedule.name": "it is constant",
    **{
        f"schedule.{field.name}": "the schedule is constant"
        for field in fields(ScheduleConfig)
        if field.name not in ("name", "warmup_fraction")
    },
}


def check_space(base: RunConfig, space: Space) -> None:
    """Refuse a field, a value or an end of a range that no candidate could have.

    Raises:
        UserError: such a field or value, a field that nothing reads, or two that set the same one.
    """
    if not space:
        raise UserError("space: no fields; give at least one and its distribution")
    for field, distribution in space.items():
        for option in _options(field, distribution):
            for path in option:
                if reason := FIXED.get(path) or FIXED.get(path.partition(".")[0]):
                    raise UserError(f"{path}: cannot be searched over; {reason}")
            assign(base, option)
    product(*(_options(field, distribution)[:1] for field, distribution in space.items()))
    for field in space:
        _check_read(base, space, field)


def _check_read(base: RunConfig, space: Space, field: str) -> None:
    """Refuse a field that no candidate reads, whatever the fields that decide on it are."""
    own = _options(field, space[field])
    varied = [path for path in own[0] if len({option[path] for option in own}) > 1]
    if not varied or not all(path in READ_IF for path in varied):
        return
    deciding = {by for path in varied for by in READ_IF[path].by}
    others = [_options(other, kind) for other, kind in space.items() if other != field]
    decisions = product(*(options for options in others if deciding & options[0].keys()))
    candidates = [assign(base, decision).science for decision in decisions]
    if not any(is_read(science, path) for science in candidates for path in varied):
        reason = why(candidates[0], varied[0])
        raise UserError(f"{field}: cannot be searched over; it is a field {reason}")


def size(space: Space) -> float:
    """The number of different candidates."""
    return math.prod(
        len(kind.values) if isinstance(kind, Choice) else math.inf for kind in space.values()
    )


def draw(space: Space, seed: int, number: int) -> Assignment:
    """A random point's assignment, as a function of the seed and the number alone."""
    return assignment(
        space,
        {
            field: distribution.at(random.Random(f"{seed} {number} {field}").random())
            for field, distribution in space.items()
        },
    )


def assignment(space: Space, point: Point) -> Assignment:
    """The fields' values at a point."""
    return dict(_values(space, point))


def point(space: Space, values: Assignment) -> Point:
    """The point at which the fields have these values."""
    return {
        field: _options(field, kind).index(_part(_options(field, kind)[0], values))
        if isinstance(kind, Choice)
        else cast(float, values[field])
        for field, kind in space.items()
    }


def _values(space: Space, point: Point) -> Iterator[tuple[str, Any]]:
    for field, kind in space.items():
        if isinstance(kind, Choice):
            yield from _options(field, kind)[int(point[field])].items()
        else:
            yield field, min(max(float(f"{point[field]:.{DIGITS}g}"), kind.low), kind.high)


def _part(option: Assignment, values: Assignment) -> Assignment:
    return {field: values[field] for field in option}


def _options(field: str, kind: Distribution) -> Grid:
    """A choice as assignments; of a range its two ends."""
    if isinstance(kind, Choice):
        return grid({field: kind.values})
    name = type(kind).__name__
    if not isinstance(kind, Uniform | LogUniform):
        raise UserError(f"{field}: {name} is no distribution; see experiments/search/space.py")
    grid({field: (kind.low,)})  # raises unless the field exists and takes a number
    if kind_of(field) is not float:
        raise UserError(f"{field}: {name} is for fields that hold a float; use Choice")
    above = 0.0 if isinstance(kind, LogUniform) else -math.inf
    if not above < kind.low < kind.high < math.inf:
        raise UserError(f"{field}: {kind} must have {above:g} < low < high, both finite")
    return grid({field: (kind.low, kind.high)})
