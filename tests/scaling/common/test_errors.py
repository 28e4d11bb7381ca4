from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from scaling.common.errors import UserError, check_choices, nearest

Shape = Literal["round", "square"]


@dataclass(frozen=True)
class _Table:
    shape: Shape = "round"
    legs: int = 4


def test_nearest_names_the_one_that_was_meant() -> None:
    assert nearest("mup2", ["sp", "mup"]) == "did you mean 'mup'?"


def test_nearest_lists_all_when_none_is_near() -> None:
    assert nearest("xyz", ["sp", "mup"]) == "known: mup, sp"
    assert nearest("xyz", [""]) == "there is none"


def test_a_known_choice_passes() -> None:
    check_choices("table", _Table("square"))


def test_an_unknown_choice_names_its_field_and_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^table\.shape=squar: did you mean 'square'\?$"):
        check_choices("table", _Table("squar"))  # type: ignore[arg-type]
