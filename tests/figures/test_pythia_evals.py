from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("pythia_evals")


def test_every_printed_value_is_in_the_release():
    made = reproduce("pythia_evals")
    assert len(made.rows) == 15
    assert {row.verdict for row in made.rows} == {"agrees"}
    assert "over 8 sizes and 7 tasks" in made.notes[0]
