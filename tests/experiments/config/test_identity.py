"""Run ids: each field of the science counts, none of the execution, and a default never."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pytest
import tiny
from other_values import another, leaf

from experiments.config.data import PLACES
from experiments.config.identity import canonical, identity
from experiments.config.optimizer import OptimizerConfig
from experiments.config.overrides import override, paths
from experiments.config.run import BudgetConfig, Science
from experiments.config.unread import is_read
from models.config import TransformerConfig
from scaling.parametrization.parametrization import Parametrization

FINGERPRINT = "data.fingerprint=0123456789abcdef"


BASE = tiny.config("model.heads=4", "execution.microbatch=2", FINGERPRINT)
NEEDS = {  # before a field is changed
    "model.recursion": ("model.layers=2", "model.sharing=cycle"),
    "model.separator": ("model.separator=3",),
}
SINGLE = ("model.router",)  # fields of one possible value
SCIENCE = [path for path in paths() if not path.startswith("execution.") and path not in SINGLE]

EXECUTION = [path for path in paths() if path.startswith("execution.")]


@pytest.mark.parametrize("path", [path for path in SCIENCE if path not in PLACES])
def test_a_field_of_the_science_is_identity_where_it_is_read(path):
    """tests/experiments/config/test_unread.py compares `is_read` with the program."""
    base = override(BASE, NEEDS.get(path, ()))
    value = another(*leaf(base.science, path))
    same = identity(override(base, [f"{path}={value}"]).science) == identity(base.science)
    assert same != is_read(base.science, path)


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


def test_tasks_are_a_set_beside_the_validation():
    def named(tasks: str) -> str:
        return identity(override(BASE, [f"evaluation.tasks={tasks}"]).science)

    assert named("validation") == identity(BASE.science) != named("leak")
    assert named("validation,leak") == named("leak") != named("knowledge")
    assert named("leak,knowledge") == named("knowledge,leak,leak") != named("leak")


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


def test_the_rule_of_few_outputs_renames_the_runs_that_it_changes_alone():
    """Heads of twice the base's size and a fixed number; not more heads, SP or attention."""
    version = "scaling.parametrization.narrow"

    def science(name="mup", pattern="gated_delta", head_dim=32):
        heads = 128 // head_dim
        model = TransformerConfig(
            width=128, heads=heads, kv_heads=heads, head_dim=head_dim, pattern=(pattern,)
        )
        return canonical(Science(model=model, parametrization=Parametrization(name, 64, 16)))

    assert science()[version] == 2
    for other in ({"head_dim": 16}, {"name": "sp"}, {"pattern": "attention"}):
        assert version not in science(**other)


def test_a_part_of_changed_science_renames_its_own_runs_alone():
    model = TransformerConfig(experts=4, router="recurrent")
    version = "models.routers.recurrent"
    assert canonical(Science(model=model))[version] == 2
    for other in (replace(model, router="top_k"), replace(model, experts=0)):
        assert version not in canonical(Science(model=other))
