"""Theory and tables were written apart; here each range of theory is worked out by hand."""

from __future__ import annotations

from typing import get_args

import pytest

from scaling.parametrization.tables import TABLES
from scaling.parametrization.theory import GROUPS, THEORIES, Powers
from scaling.parametrization.weight import Role


def test_every_table_has_a_theory_and_every_role_a_group() -> None:
    assert THEORIES.keys() == TABLES.keys()
    assert set(GROUPS) == set(get_args(Role))


def test_the_rate_of_a_family_of_updates_is_that_of_its_size() -> None:
    mup = THEORIES["mup"]
    hidden, embedding = mup.width["hidden"], mup.width["embedding"]
    assert mup.rate(hidden, "normalised", "width") == -1
    assert mup.rate(hidden, "orthogonal", "width") == -0.5
    assert mup.rate(hidden, "gradient", "width") == 0
    assert mup.rate(embedding, "gradient", "width") == 1
    assert mup.rate(Powers(0, 0, 0, 0), "orthogonal", "layers") == 0


def test_a_matrix_of_few_outputs_starts_as_a_readout_does() -> None:
    """d -> 1 has variance 1 / d^2 over the base's where features are kept, else 1 / d."""
    for name, power in (("mup", -1), ("lingle_relative", -1), ("ntk", -0.5), ("sp", -0.5)):
        of = THEORIES[name].of_weight("width", "hidden", True, 1.0, fan_out=0.0)
        assert (of.init, of.rate) == (power, THEORIES[name].width["hidden"].rate)
    assert THEORIES["mup"].of_weight("width", "hidden", True, 1.0, fan_out=1.0).init == -0.5


def test_an_input_side_that_does_not_grow_needs_no_power() -> None:
    found = THEORIES["mup"].of_weight("width", "hidden", True, fan_in=0.0)
    assert (found.init, found.rate) == (0, 0)
    assert THEORIES["mup"].of_weight("width", "embedding", False, fan_in=0.0).rate == 0


@pytest.mark.parametrize(
    ("name", "place", "heads", "tied", "expected"),
    [
        ("mup", "logits", 1.0, False, (-0.5, -0.5)),  # a random sum over d, divided by d
        ("mup", "logits", 1.0, True, (-0.5, 0.0)),
        ("sp", "logits", 1.0, False, (0.0, 0.0)),
        ("sp", "logits", 1.0, True, (0.5, 1.0)),
        ("mup", "attention/logits", 1.0, False, (-0.5, -0.5)),
        ("mup", "attention/logits", 0.0, False, (0.0, 0.0)),  # more heads of one size
        ("ntk", "attention/logits", 1.0, False, (0.0, 0.0)),
        ("mup", "mlp/router", 1.0, False, (-0.5, -0.5)),
        ("mup", "gated_delta/beta", 1.0, False, (-0.5, -0.5)),
        ("mup", "gated_delta/beta", 0.0, False, (0.0, 0.0)),
        ("mup", "stream", 1.0, False, (0.0, 0.0)),
    ],
)
def test_the_start_over_width(
    name: str, place: str, heads: float, tied: bool, expected: tuple[float, float]
) -> None:
    theory = THEORIES[name]  # type: ignore[index]
    assert theory.at_start("width", place, heads, tied) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mup", (0.0, 0.5)),
        ("depth_mup", (0.0, 0.0)),
        ("umup", (0.0, 0.0)),
        ("completep", (-0.5, 0.0)),
    ],
)
def test_the_stream_over_depth_is_an_embedding_and_random_branches(
    name: str, expected: tuple[float, float]
) -> None:
    theory = THEORIES[name]  # type: ignore[index]
    assert theory.at_start("layers", "stream") == expected
    assert theory.at_start("layers", "mlp/in") == (0.0, 0.0)


def test_only_what_a_table_claims_is_judged_after_training() -> None:
    assert THEORIES["sp"].after("width", "stream", "change") is None
    assert THEORIES["mup"].after("layers", "stream", "change") is None
    assert THEORIES["mup"].after("width", "stream", "change") == (0.0, 0.0)
    assert THEORIES["umup"].after("width", "embedded", "change") == (-0.5, -0.5)
    assert THEORIES["umup"].after("width", "embedded", "size") == (-0.5, 0.0)
    assert THEORIES["ntk"].after("width", "attention/logits", "size") == (0.0, 0.5)
    for quantity in ("size", "change"):  # a size where the change is larger than the start
        assert THEORIES["depth_mup"].after("layers", "mlp/in", quantity) == (-0.5, 0.0)
    assert THEORIES["completep"].after("layers", "mlp/in", "change") == (0.0, 0.0)


@pytest.mark.parametrize(
    "place, low, high",
    [("stream", -0.4, 0.0), ("mlp/in", 0.0, 0.4), ("logits", 0.0, 0.4), ("embedded", 0.0, 0.0)],
)
def test_what_vanishes_with_depth_follows_the_stream_at_the_start(place, low, high) -> None:
    """Branches answer as they add up, r^stream; a norm divides by them, r^-stream."""
    after = THEORIES["completep"].after
    assert after("layers", place, "change", stream=-0.4) == (low, high)
    low, high = (-1.0 if place == "embedded" else low), high + 0.4
    assert after("layers", place, "change", stream=-0.4, gradient=True) == pytest.approx(
        (low, high)
    )


def test_two_weights_that_move_carry_the_rate_twice() -> None:
    """r^(residual + 2 rate + 1): of CompleteP alone it stays, which is its claim."""
    changes = {
        name: THEORIES[name].after("layers", "stream", "change")
        for name in ("completep", "depth_mup", "umup")
    }
    assert changes == {"completep": (0, 0), "depth_mup": (-0.5, 0), "umup": (-0.5, 0)}
