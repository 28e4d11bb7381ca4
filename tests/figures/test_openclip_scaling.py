"""Slopes of the frontier of CLIP models on the released results."""

from __future__ import annotations

from paths import needs_tables

from analysis.figures import reproduce

pytestmark = needs_tables("openclip_scaling")


def test_slopes_of_the_frontier_agree() -> None:
    made = reproduce("openclip_scaling")
    assert [row.verdict for row in made.rows] == ["agrees"] * 4
