"""Operations on parameters: one file each, found by name.

A file defines `OPERATION`: a pure function, and in data what it keeps and when it refuses.

    def stack(parents: Sequence[Arrays], plan: Blueprint, *, settings...) -> Arrays
    OPERATION = Operation(stack, keeps=(), refuses=_refusal)

`Arrays` have the names of an export, "blocks.3.attention.query": float32, a layer each, the same
for scanned and unrolled layers. A run begins with the result: `Derived` in experiments/plan/run.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from experiments.config.fields import from_value
from models.config import TransformerConfig
from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.parametrization.weight import Weight

Arrays = Mapping[str, NDArray[np.float32]]
Settings = Mapping[str, Any]

# function: the logits of its first parent.  equals: parents that are all alike give themselves.
# norm: of each array, where that of the parents agree.  count: of values that are not zero, by the
# setting `density`.  maximum: the greatest magnitude of each output of a matrix.
Keeps = Literal["function", "equals", "norm", "count", "maximum"]

# of the optimizer: fresh, or the operation applied to each part of it that is shaped like the
# parameters; its counts are the first parent's
State = Literal["fresh", "mapped"]
STATE = "state"  # the setting of every operation that chooses


@dataclass(frozen=True)
class Model:
    """The model of a run as an operation sees it.

    Attributes:
        weights: letters, role, shape and layer of every array, by its name.
        multipliers: factors that the forward pass puts on the stored arrays.
        residual, tied: factors on a branch's output, and on the logits of a tied readout.
        vocabulary: its tokenizer, in words.
        run_id, ancestors: of the run, and of all runs behind it.
    """

    config: TransformerConfig
    weights: Mapping[str, Weight]
    multipliers: Mapping[str, float]
    residual: float
    tied: float
    vocabulary: str
    run_id: str = ""
    ancestors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Blueprint:
    """Descriptions of parents and child, the child's seed, and its own initial parameters."""

    parents: tuple[Model, ...]
    child: Model
    seed: int
    fresh: Callable[[], Arrays]

    @property
    def rng(self) -> np.random.Generator:
        """A generator of the child's seed, anew at each call."""
        return np.random.default_rng(self.seed)


def accepts(plan: Blueprint, **settings: Any) -> str:
    """No refusal."""
    return ""


@dataclass(frozen=True)
class Operation:
    """An operation on the parameters of finished runs.

    Attributes:
        make: (parents, blueprint, *, settings...) -> parameters. Pure.
        keeps: what stays constant; tests hold it.
        refuses: (blueprint, settings...) -> the reason against, or "". It sees all settings.
        states: of the optimizer, what it has meaning for.
    """

    make: Callable[..., Arrays]
    keeps: tuple[Keeps, ...]
    refuses: Callable[..., str] = accepts
    states: tuple[State, ...] = ("fresh",)


def operation(name: str) -> Operation:
    """The operation of a name; a UserError names the nearest."""
    found: Operation = plugins.find(__name__, name, "operation", "OPERATION")
    return found


def apply(name: str, parents: Sequence[Arrays], plan: Blueprint, settings: Settings) -> Arrays:
    """The child's parameters. Raises as `check`."""
    check(name, plan, settings)
    found = operation(name)
    return found.make(parents, plan, **_typed(name, found, settings))


def check(name: str, plan: Blueprint, settings: Settings) -> None:
    """Check that an operation can make the child, before any training.

    Raises:
        UserError: no such operation or setting, a value of the wrong type, or a refusal.
    """
    found = operation(name)
    typed = _typed(name, found, settings)
    if reason := _vocabulary(plan) or found.refuses(plan, **_defaults(found) | typed):
        raise UserError(f"operation '{name}': {reason}")


def settings(name: str, given: Settings) -> Settings:
    """The settings of an operation, those left out at their defaults. Raises as `check`."""
    found = operation(name)
    return _defaults(found) | _typed(name, found, given)


def state(name: str, settings: Settings) -> State:
    """The child's state of the optimizer, as the settings have it.

    Raises:
        UserError: the operation has no such state.
    """
    states = operation(name).states
    chosen = settings.get(STATE, "fresh")
    if chosen not in states:
        hint = f"set {STATE}={' or '.join(states)}"
        raise UserError(f"operation '{name}': {STATE}={chosen}: it makes none; {hint}")
    return next(each for each in states if each == chosen)


def one_model(plan: Blueprint, **settings: Any) -> str:
    """The refusal of a parent that differs from the child in the name or shape of an array."""
    child = plan.child.weights
    for number, parent in enumerate(plan.parents, 1):
        for key in dict.fromkeys((*child, *parent.weights)):
            shapes = [m[key].shape if key in m else "absent" for m in (parent.weights, child)]
            if shapes[0] != shapes[1]:
                return (
                    f"'{key}' is {shapes[0]} in parent {number} and {shapes[1]} in the child; "
                    "choose runs of one model"
                )
    return ""


def one_base(plan: Blueprint, **settings: Any) -> str:
    """The refusal of `one_model`, or of a parent that does not descend from the first."""
    base, *others = plan.parents
    for number, other in enumerate(others, 2):
        if base.run_id not in other.ancestors:
            return (
                f"parent {number}, run {other.run_id}, does not descend from parent 1, run "
                f"{base.run_id}; name their common base first"
            )
    return one_model(plan)


def of_count(count: int, then: Callable[..., str] = one_model) -> Callable[..., str]:
    """A refusal of any number of parents but one, and then another."""

    def refuses(plan: Blueprint, **settings: Any) -> str:
        if len(plan.parents) != count:
            return f"{len(plan.parents)} parents; give {count}"
        return then(plan, **settings)

    return refuses


def _vocabulary(plan: Blueprint) -> str:
    for number, parent in enumerate(plan.parents, 1):
        ours, theirs = plan.child.vocabulary, parent.vocabulary
        if ours != theirs:
            return f"the tokens of parent {number} are {theirs}, the child's {ours}; use one"
    return "" if plan.parents else "no parents; give at least one"


def _keywords(found: Operation) -> list[inspect.Parameter]:
    each = inspect.signature(found.make).parameters.values()
    return [one for one in each if one.kind is inspect.Parameter.KEYWORD_ONLY]


def _defaults(found: Operation) -> dict[str, Any]:
    empty = inspect.Parameter.empty
    return {one.name: one.default for one in _keywords(found) if one.default is not empty}


def _typed(name: str, found: Operation, settings: Settings) -> dict[str, Any]:
    """The settings as the operation's types; without that of the optimizer's state."""
    state(name, settings)
    keywords = _keywords(found)
    known = [each.name for each in keywords]
    for key in settings:
        if key not in known and key != STATE:
            raise UserError(f"operation '{name}': no setting '{key}'; {nearest(key, known)}")
    for each in keywords:
        if each.default is inspect.Parameter.empty and each.name not in settings:
            raise UserError(f"operation '{name}': no '{each.name}', which it needs; set it")
    hints = get_type_hints(found.make)
    return {
        key: from_value(f"operation '{name}': {key}", value, hints[key])
        for key, value in settings.items()
        if key != STATE
    }


WORDS: tuple[Keeps, ...] = get_args(Keeps)
