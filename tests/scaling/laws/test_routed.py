"""The routed law: saturation, the dense model worth its experts, and what rounding costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scaling import laws
from scaling.laws.routed import cutoff, effective_params, routed, saturated

KNOWN = {"a": -0.08, "b": -0.12, "c": 0.01, "d": 1.1, "E_start": 2.0, "E_max": 300.0}
PRINTED_CUTOFFS = {"clark2022_sbase": 937e9, "clark2022_rlr": 85e9, "clark2022_hash": 83e9}


def test_saturation_runs_from_start_to_most():
    assert saturated(1.0, 2.0, 300.0) == pytest.approx(2.0, rel=1e-14)
    assert saturated(1e15, 2.0, 300.0) == pytest.approx(300.0, rel=1e-9)
    assert saturated(16.0, 1.0 + 1e-12, 1e15) == pytest.approx(16.0, rel=1e-9), "no limits: E"


def test_value_by_hand():
    """N = 1e8, E = 1: lg L = 8 a + (b + 8 c) lg 2 + d."""
    by_hand = 10 ** (8 * -0.08 + (-0.12 + 0.08) * math.log10(2) + 1.1)
    assert routed.predict(KNOWN, params=1e8, experts=1) == pytest.approx(by_hand, rel=1e-14)


def test_effective_size_is_the_dense_model_of_the_same_loss():
    sizes, experts = np.array([1e7, 1e8, 1e9])[:, None], np.array([1.0, 4.0, 64.0, 512.0])
    worth = effective_params(KNOWN, sizes, experts)
    assert worth[:, 0] == pytest.approx(sizes[:, 0], rel=1e-12)
    assert (np.diff(worth) > 0).all()
    dense = routed.predict(KNOWN, params=worth, experts=1)
    assert dense == pytest.approx(routed.predict(KNOWN, params=sizes, experts=experts), rel=1e-12)


def test_experts_do_nothing_at_the_cutoff():
    size = cutoff(KNOWN)
    assert size == pytest.approx(1e12)
    losses = [routed.predict(KNOWN, params=k * size, experts=[1.0, 512.0]) for k in (0.1, 1, 10)]
    assert losses[0][1] < losses[0][0]
    assert losses[1][1] == pytest.approx(losses[1][0], rel=1e-12)
    assert losses[2][1] > losses[2][0]


@pytest.mark.parametrize("entry", routed.published, ids=lambda entry: entry.name)
def test_published_constants_give_measured_losses_in_base_ten(entry: laws.Published):
    """The dense 27 M model ended at 3.028 nats/token: within 2 % from three decimals of a, d."""
    assert entry.convention.log_base == "10"
    assert routed.predict(entry.values, params=27279360, experts=1) == pytest.approx(
        3.028, rel=0.02
    )


def test_rounded_constants_do_not_give_the_printed_numbers():
    """Worth of 5 M with 128 experts: 51.8 M, printed as about 55 M. Cutoffs up to 2.7 times off."""
    sbase = routed.constants("clark2022_sbase").values
    assert effective_params(sbase, 5e6, 128) == pytest.approx(51.8e6, rel=2e-3)
    found = {name: float(cutoff(routed.constants(name).values)) for name in PRINTED_CUTOFFS}
    assert list(found.values()) == pytest.approx([1.0e12, 3.2e10, 2.2e11], rel=0.03)
    ratios = [found[name] / printed for name, printed in PRINTED_CUTOFFS.items()]
    assert ratios == pytest.approx([1.07, 0.37, 2.6], rel=0.03)


def test_the_search_cannot_turn_start_and_most_around():
    space = {each.name: each for each in routed.space}
    assert 1 <= space["E_start"].low < space["E_start"].high < space["E_max"].low
