"""The law of merges: its value by hand and its limit of many experts."""

from __future__ import annotations

import pytest

from scaling.laws.merging import merging

KNOWN = {"L": 1.0, "B": 100.0, "beta": 0.5, "A": 20.0, "gamma": 0.25, "b": 1.0}


def test_value_by_hand():
    """N = 10^4: 1 + 100 / 100 + 20 / 10 / (k + 1)."""
    assert merging.predict(KNOWN, params=1e4, experts=3) == pytest.approx(2.5, rel=1e-14)
    assert merging.predict(KNOWN, params=1e4, experts=1e12) == pytest.approx(2.0, rel=1e-9)
