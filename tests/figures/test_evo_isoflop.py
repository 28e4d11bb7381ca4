from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("evo_isoflop")


def test_all_eight_exponents_are_reproduced():
    made = reproduce("evo_isoflop")
    assert len(made.rows) == 8
    assert {row.verdict for row in made.rows} == {"agrees"}
    assert any("0.87 to 1.10, the least for Mamba" in note for note in made.notes)
    assert [axes.get_ylabel() for axes in made.figure.axes] == ["N*, parameters", "D*, tokens"]
