"""Run ids: each field of the science counts, none of the execution, and a default never."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args, get_origin

import pytest
import tiny

from experiments.config.data import PLACES
from experiments.config.fields import field_types
from experiments.config.identity import canonical, identity
from experiments.config.optimizer import OptimizerConfig
from experiments.config.overrides import override, paths
from experiments.config.run import BudgetConfig, Science
from models.config import TransformerConfig

FINGERPRINT = "data.fingerprint=0123456789abcdef"


def another(value: object, kind: object) -> str:
    """Some other valid value of a field, as the command line writes it."""
    if value == "adamw":
        return "sgd"
    if get_origin(kind) is Literal:
        return next(str(name) for name in get_args(kind) if name != value)
    if isinstance(value, str):
        return value + "x"
    if value == ("attention",):
        return "attention+mlp"
    if isinstance(value, tuple):
        return "16,32"
    if isinstance(value, int):
        return str(value * 2 or 2)
    assert isinstance(value, float)
    return str(value / 2 or 0.5)


def leaf(config: object, path: str) -> tuple[object, object]:
    *sections, name = path.split(".")
    for section in sections:
        config = getattr(config, section)
    return getattr(config, name), field_types(type(config))[name]


BASE = tiny.config("model.heads=4", "execution.microbatch=2", FINGERPRINT)
SINGLE = ("model.router",)  # fields of one possible value
SCIENCE = [path for path in paths() if not path.startswith("execution.") and path not in SINGLE]

EXECUTION = [path for path in paths() if path.startswith("execution.")]


@pytest.mark.parametrize("path", [path for path in SCIENCE if path not in PLACES])
def test_every_field_of_the_science_is_identity(path):
    value = another(*leaf(BASE.science, path))
    assert identity(override(BASE, [f"{path}={value}"]).science) != identity(BASE.science)


@pytest.mark.parametrize("path", EXECUTION)
def test_no_field_of_the_execution_is_identity(path):
    named = ["execution.layout.name=fsdp"] if path.startswith("execution.layout.") else []
    base = override(BASE, named)  # which takes sizes
    value = another(*leaf(base, path))
    changed = override(base, [f"{path}={value}"])
    assert changed != base
    assert identity(changed.science) == identity(BASE.science)


def test_a_moved_corpus_is_the_same_science_once_its_fingerprint_is_known():
    moved = override(BASE, ["data.path=elsewhere"])
    assert identity(moved.science) == identity(BASE.science)
    unknown = override(BASE, ["data.fingerprint="])
    assert identity(override(unknown, ["data.path=elsewhere"]).science) != identity(unknown.science)


def test_one_and_one_point_zero_are_the_same_science():
    whole, real = (Science(optimizer=OptimizerConfig(weight_decay=w)) for w in (1, 1.0))
    assert identity(whole) == identity(real)


@dataclass(frozen=True)
class LaterModel(TransformerConfig):
    gate: Literal["none", "sigmoid"] = "none"


@dataclass(frozen=True)
class LaterScience(Science):
    """The science of a later version: one more field, and a section with one more."""

    dropout: float = 0.0
    model: LaterModel = LaterModel()


def test_a_field_added_later_renames_no_run():
    budget = BudgetConfig(640)
    later = LaterScience(budget=budget)
    assert identity(later) == identity(Science(budget=budget))
    assert identity(replace(later, dropout=0.1)) != identity(later)
    assert identity(replace(later, model=LaterModel(gate="sigmoid"))) != identity(later)


def test_the_canonical_science_is_what_differs_from_the_defaults():
    """tests/golden pins the defaults themselves."""
    assert canonical(Science()) == {}
    science = Science(budget=BudgetConfig(640), optimizer=OptimizerConfig(weight_decay=0))
    assert canonical(science) == {"budget.tokens": 640, "optimizer.weight_decay": 0.0}
