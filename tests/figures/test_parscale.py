from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce
from scaling.laws.parscale import parscale


def test_value_by_hand():
    """N = 10^4, k ln P = 3 at P = e: 1 + 20 / (4 x 10^4)^(1/2) = 1.1."""
    known = {"E": 1.0, "A": 20.0, "alpha": 0.5, "k": 3.0}
    assert abs(parscale.predict(known, params=1e4, streams=2.718281828459045) - 1.1) < 1e-14


@needs_tables("parscale")
def test_the_refit_agrees_and_eight_streams_are_predicted():
    made = reproduce("parscale")
    assert {row.verdict for row in made.rows} == {"agrees"}
    assert "0.28 % off" in made.notes[0]
