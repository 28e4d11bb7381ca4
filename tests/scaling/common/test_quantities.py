"""Numbers as people write them; the others are one line."""

from __future__ import annotations

import pytest

from scaling.common import quantities
from scaling.common.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [("7B", 7e9), ("1.3 B", 1.3e9), ("20_000", 2e4), ("400k", 4e5), ("2T", 2e12), ("-1e-3", -1e-3)],
)
def test_a_number_with_a_unit_is_the_exact_number(text: str, value: float):
    assert quantities.number(text) == value


@pytest.mark.parametrize("kind", ["number", "positive", "not_negative", "share", "whole", "count"])
@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e999", "1e999999999", "7X", "", "B", "1,5"]
)
def test_no_number_in_any_kind(kind: str, text: str):
    with pytest.raises(UserError) as caught:
        getattr(quantities, kind)(text)
    assert str(caught.value).startswith(text or "''") or repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        ("positive", "1e-9", "0"),
        ("not_negative", "0", "-1e-9"),
        ("share", "1", "1.001"),
        ("whole", "0", "-1"),
        ("whole", "1e3", "1.5"),
        ("count", "1", "0"),
        *((kind, f"{2**62}", f"{2**63}") for kind in ("whole", "count")),
    ],
)
def test_kinds_hold_their_ends(kind: str, accepted: str, refused: str):
    assert getattr(quantities, kind)(accepted) == float(accepted)
    with pytest.raises(UserError, match="must"):
        getattr(quantities, kind)(refused)


def test_counts_are_whole_beyond_the_floats():
    assert quantities.count("9007199254740993") == 9007199254740993
    assert quantities.counts("64,1e3") == (64, 1000)


def test_names_are_told_from_numbers():
    assert quantities.is_number("nan") and not quantities.is_number("alpha")
