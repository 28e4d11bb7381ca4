"""Settings of any plain type are read from text, or refused in one line."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from experiments.plan import settings
from scaling.common.errors import UserError


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


def every(
    flag: bool = False,
    count: int = 1,
    rate: float | None = None,
    either: int | str = 0,
    kind: Literal["a", "b"] = "a",
    size: Size = Size.SMALL,
    place: Path = Path("here"),
    bare: list = [1, 2],  # noqa: B006
    pair: tuple[int, str] = (1, "x"),
    flags: Sequence[bool] = (),
    names: set[str] = frozenset(),  # type: ignore[assignment]
    widths=(8, 0.5),
    plain=3,
    on=True,
    nothing=None,
    *more: int,
    **others: int,
) -> None: ...


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "true", True),
        ("flag", "False", False),
        ("count", "1e3", 1000),
        ("rate", "none", None),
        ("rate", "2", 2.0),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("kind", "b", "b"),
        ("size", "LARGE", Size.LARGE),
        ("place", "a/b", Path("a/b")),
        ("bare", "3,4", [3, 4]),
        ("pair", "3,y", (3, "y")),
        ("flags", "true,false", (True, False)),
        ("names", "b,a", {"a", "b"}),
        ("widths", "3,0.25", (3.0, 0.25)),
        ("plain", "4", 4),
        ("on", "false", False),
        ("nothing", "x", "x"),
    ],
)
def test_a_setting_has_the_type_of_its_annotation_or_default(name, text, value) -> None:
    found = settings.read(f"--set {name}", text, settings.kinds(every)[name])
    assert found == value
    assert type(found) is type(value)
    json.dumps(settings.plain(found))


def test_only_named_parameters_are_settings() -> None:
    assert settings.defaults(every).keys() == settings.kinds(every).keys()
    assert not {"more", "others"} & settings.defaults(every).keys()


def odd(
    table: dict[str, int], flag: bool, pair: tuple[int, int], size: Size, call=print
) -> None: ...


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("table", "a:1", "no text is of the type dict"),
        ("call", "x", "no text is of the type builtin_function_or_method"),
        ("flag", "yes please", "expected true or false"),
        ("pair", "1,2,3", "expected 2 values"),
        ("pair", "1,x", "expected int"),
        ("size", "LARG", "did you mean 'LARGE'?"),
    ],
)
def test_any_other_text_is_refused_in_one_line(name, text, said) -> None:
    with pytest.raises(UserError, match=f"^--set {name}=.*: ") as caught:
        settings.read(f"--set {name}", text, settings.kinds(odd)[name])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
