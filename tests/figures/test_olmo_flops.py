from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("olmo_ladder")


def test_predictions_by_compute_agree_and_the_table_s_errors_are_another_target_s():
    made = reproduce("olmo_flops")
    verdicts = [row.verdict for row in made.rows]
    assert verdicts == ["agrees", "not comparable"] * 8
    assert "5.2 % in the mean" in made.notes[0]


def test_every_sd_of_the_released_table_is_ours():
    made = reproduce("olmo_noise")
    assert len(made.rows) == 16
    assert {row.verdict for row in made.rows} == {"agrees"}
    assert "6 of 8 tasks" in made.notes[0]
