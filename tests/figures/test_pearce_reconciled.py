from __future__ import annotations

from analysis.figures import reproduce


def test_both_exponents_come_out_of_constants_alone():
    made = reproduce("pearce_reconciled")
    assert [row.verdict for row in made.rows] == ["agrees", "agrees"]
    assert "0.51" in made.notes[0]
    assert "0.46" in made.notes[1]
