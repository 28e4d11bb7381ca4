"""Every field says its meaning where it is declared, and no bound is of a field that is not."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.config.meanings import comments, meanings
from experiments.config.overrides import paths
from experiments.config.run import BOUNDS


@dataclass(frozen=True)
class Parent:
    first: int = 1  # of two


@dataclass(frozen=True)
class Child(Parent):
    # begun above,
    second: tuple[str, ...] = (
        "a",  # and ended inside
    )
    third: int = 3


def test_comments_above_and_beside_a_field_are_its_meaning():
    assert comments(Child) == {"first": "of two", "second": "begun above, and ended inside"}


def test_every_field_has_a_meaning_and_every_bound_a_field():
    found = {each.field: each for each in meanings()}
    assert list(found) == list(paths()) and len(found) > 80
    assert not [name for name, each in found.items() if len(each.text) < 6]
    assert not BOUNDS.keys() - found.keys()
    assert found["budget.tokens"].unit == "tokens"
    assert found["model.layers"].range.startswith("int, must be at least 1")
    assert "adamw" in found["optimizer.name"].range
    assert found["penalties.z_loss"].text.startswith("factor of a term of the objective: (ln Z)^2")
