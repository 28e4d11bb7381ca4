"""Broken rules get their own name, and their effects none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from coordinates import WEIGHTS, table

from analysis.estimators.coordinate_check import check
from analysis.estimators.coordinate_rules import TOLERANCE

HIDDEN = ("attention/query", "attention/out", "mlp/in")


def every(rule: str, power: float, weights: tuple[str, ...] = HIDDEN) -> dict[str, float]:
    return {f"{rule} {weight}": power for weight in weights}


def with_effects(rate: float, weights: tuple[str, ...]) -> dict[str, float]:
    """A rate, and the decay that is coupled to it."""
    return every("rate", rate, weights) | every("decay", rate, weights)


# A multiplier that is missing: m too much in the readout, its changes, and its gradient
MISSING = {"multiplier readout": 1.0, "rate readout": 1.0, "epsilon readout": -1.0}


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("hidden learning rate", with_effects(1.0, HIDDEN)),
        ("hidden learning rate (mlp/in)", with_effects(0.5, ("mlp/in",))),
        ("hidden init (attention/out)", {"init attention/out": 0.25}),
        ("hidden init", every("init", 0.5)),
        ("embedding init", {"init embedding": 0.5}),
        ("embedding learning rate", with_effects(-1.0, ("embedding",))),
        ("readout learning rate", with_effects(-1.0, ("readout",))),
        ("readout init", {"init readout": 0.5}),
        ("readout multiplier", MISSING | {"init readout": 1.0}),
        ("gain learning rate", {"rate final_norm/gain": -1.0}),
        ("epsilon", every("epsilon", 1.0, tuple(WEIGHTS))),
        ("hidden epsilon", every("epsilon", 1.0)),
        ("hidden weight decay", every("decay", -1.0)),
        ("attention scale", {"factor attention": 0.5}),
        ("residual multiplier", {"factor residual": 0.5}),
    ],
)
def test_each_mistake_has_its_name(name: str, off: dict[str, float]) -> None:
    verdict = check(table(**off))
    assert verdict.broken == (name,)
    assert not verdict.passes


def test_a_missing_multiplier_is_named_from_a_start_at_zero_too() -> None:
    frame = table(**MISSING)
    zero = (frame["quantity"] == "init") & (frame["place"] == "readout")
    assert check(frame[~zero]).broken == ("readout multiplier",)
    assert any("the init of readout" in text for text in check(frame[~zero]).unseen)


def test_a_gradient_passes_a_multiplier_twice() -> None:
    off = MISSING | {"init readout": 1.0, "rate readout": 2.0, "epsilon readout": 0.0}
    frame = table(family="gradient", **off)
    frame = frame[frame["quantity"] != "epsilon"]
    assert check(frame).broken == ("readout multiplier",)
    assert any("epsilon" in text for text in check(frame).unseen)


def test_a_factor_moved_between_a_weight_and_its_multiplier_is_no_mistake() -> None:
    """The powers are of the effective weight, and its multiplier alone is another."""
    assert check(table(**{"multiplier readout": 1.0})).passes


def test_two_mistakes_have_two_names() -> None:
    off = with_effects(1.0, HIDDEN) | {"factor attention": 0.5}
    assert check(table(**off)).broken == ("attention scale", "hidden learning rate")


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("learning rate in the blocks", with_effects(0.5, HIDDEN)),
        ("epsilon in the blocks", every("epsilon", 1.0)),
        ("residual multiplier", {"factor residual": -0.5}),
    ],
)
def test_mistakes_over_depth(name: str, off: dict[str, float]) -> None:
    assert check(table("completep", "layers", **off)).broken == (name,)


def test_decay_where_theory_has_none_is_named() -> None:
    frame = table()
    gains = frame[(frame["place"] == "final_norm/gain") & (frame["quantity"] == "rate")]
    frame = pd.concat([frame, gains.assign(quantity="decay")], ignore_index=True)
    assert check(frame).broken == ("gain weight decay",)


def test_an_input_side_that_does_not_grow_needs_no_rate_of_its_own() -> None:
    """A rate of 1/m there is a mistake, and so is an init that falls."""
    frame = table()
    fixed = frame["place"] == "mlp/in"
    frame.loc[fixed & (frame["role"] == "hidden"), "fan_in"] = 7
    assert set(check(frame).broken) == {
        "hidden init (mlp/in)",
        "hidden learning rate (mlp/in)",
    }


def test_heads_that_do_not_grow_say_nothing_of_their_scale() -> None:
    verdict = check(table(heads=False))
    assert verdict.passes
    assert any("attention scale" in text for text in verdict.unseen)


def test_a_rule_that_some_weights_lack_is_said_of_them() -> None:
    """As the epsilon of Muon's matrices; vectors have no decay by theory."""
    frame = table()
    lack = (frame["quantity"] == "epsilon") & frame["place"].isin(HIDDEN)
    said = [text for text in check(frame[~lack]).unseen if "does not scale" in text]
    assert said == [f"epsilon of {', '.join(HIDDEN)}, which this optimizer does not scale"]


def test_half_a_power_is_far_beyond_the_tolerance() -> None:
    near: dict[str, Any] = {"rate mlp/in": TOLERANCE / 2, "decay mlp/in": TOLERANCE / 2}
    assert check(table(**near)).passes
