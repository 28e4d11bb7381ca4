"""The two steps of the OLMo ladder on the released checkpoints."""

from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("olmo_ladder")


def test_predictions_of_both_steps_agree() -> None:
    made = reproduce("olmo_ladder")
    assert len(made.rows) == 24
    assert [row.quantity for row in made.rows if row.verdict != "agrees"] == []
    assert "ARC-Challenge (17.5 %)" in made.notes[0]
