"""The law of a pool that is seen again and again: one epoch, and repeats by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fitting.fit import fit
from scaling.laws.filtering import UNIT, filtering

TRUE = {"E": 0.5, "A": 2.0, "b": 0.3, "tau": 2.0}


def test_one_epoch_is_a_power_law_and_later_ones_count_less() -> None:
    at = filtering.predict(TRUE, tokens=[5e4, 1e5, 2.5e5], unique_tokens=1e5)
    assert at[:2] == pytest.approx(0.5 + 2 * (np.array([5e4, 1e5]) / UNIT) ** -0.3)
    second, third = 0.3 * 2**-0.5, 0.3 * 2**-1.0
    assert at[2] == pytest.approx(0.5 + 2 * 2.0**-second * 1.25**-third)


def test_known_utility_and_half_life_are_found() -> None:
    unique = np.repeat([1e5, 1e6], 8)
    tokens = unique * np.tile(np.geomspace(0.25, 32, 8), 2)
    loss = filtering.predict(TRUE, tokens=tokens, unique_tokens=unique)
    found = fit(filtering, {"tokens": tokens, "unique_tokens": unique, "loss": loss})
    assert found.estimates == pytest.approx(TRUE, rel=1e-3)
