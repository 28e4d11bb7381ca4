from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("xlstm_isoflop")


def test_the_optimal_xlstm_is_larger_at_every_budget():
    made = reproduce("xlstm_isoflop")
    assert [row.verdict for row in made.rows] == ["agrees"]
    assert made.notes[0].startswith("the optimal xLSTM has 1.14 to 1.15 times the parameters")
    curves, optima = made.figure.axes
    assert "nats/token" in curves.get_ylabel() and "FLOPs" in optima.get_xlabel()
