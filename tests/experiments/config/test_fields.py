from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from experiments.config.fields import flat, from_json, from_text, from_value, leaves, to_dict
from experiments.config.from_record import from_record, stored
from experiments.config.run import RunConfig
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Section:
    weights: tuple[float, ...] = (0.5, 1.0)
    names: tuple[str, ...] = ()
    kinds: tuple[Literal["a", "b"], ...] = ()


@dataclass(frozen=True)
class Whole:
    section: Section = Section()
    rate: float = 1.0
    count: int = 1


CASES = {  # type: its text, the same value of a study file, and in JSON
    int: ("1e3", np.int64(1000), 1000),
    float: ("2", 2, 2.0),
    str: ("a=b", "a=b", "a=b"),
    Literal["a", "b"]: ("b", "b", "b"),
    tuple[int, ...]: ("1,2e1", (1, np.int32(20)), [1, 20]),
    tuple[float, ...]: ("0.25,1", (np.float64(0.25), 1), [0.25, 1.0]),
    tuple[str, ...]: ("web,code", ("web", "code"), ["web", "code"]),
    tuple[Literal["a", "b"], ...]: ("b,a", ("b", "a"), ["b", "a"]),
}


@pytest.mark.parametrize("kind", CASES, ids=str)
def test_text_value_and_json_are_one_value_of_the_fields_type(kind):
    text, value, plain = CASES[kind]
    found = [from_text("f", text, kind), from_value("f", value, kind), from_json("f", plain, kind)]
    assert found[0] == found[1] == found[2]
    assert len({repr(each) for each in found}) == 1  # no NumPy number, no 1 for 1.0


def test_no_text_is_the_empty_tuple():
    assert from_text("f", "", tuple[float, ...]) == ()


@pytest.mark.parametrize(
    ("convert", "value", "kind", "message"),
    [
        (from_text, "cpuu", Literal["cpu", "gpu"], "f=cpuu: did you mean 'cpu'?"),
        (from_text, "0.5,x", tuple[float, ...], "f=x: expected float"),
        (from_text, "1,", tuple[int, ...], "f=: expected int"),
        (from_value, [1, 2], tuple[int, ...], "f=[1, 2]: expected a tuple, such as (1, 2)"),
        (from_value, (1, "2"), tuple[int, ...], "f='2': expected int"),
        (from_value, True, int, "f=True: expected int"),
        (from_json, "1", float, "f='1': expected float"),
        (from_json, 1.5, int, "f=1.5: expected int"),
        (from_json, ["c"], tuple[Literal["a", "b"], ...], "f=c: known: a, b"),
    ],
)
def test_value_that_the_type_cannot_hold_is_one_line(convert, value, kind, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        convert("f", value, kind)


def test_config_goes_through_json():
    whole = Whole(Section(weights=(1, 0.25), names=("web",), kinds=("a",)), rate=2)
    plain = json.loads(json.dumps(to_dict(whole)))
    assert plain["section"]["weights"] == [1.0, 0.25]
    kinds = leaves(Whole)
    back = {path: from_json(path, value, kinds[path]) for path, value in flat(plain)}
    assert back["section.names"] == ("web",)
    assert list(back) == list(kinds)


def test_every_field_of_a_run_can_be_read_back():
    assert from_record(stored(RunConfig()), "config.json") == RunConfig()
