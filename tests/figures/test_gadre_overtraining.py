"""The two targets of Gadre et al. 2024 predicted as published."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("gadre_overtraining/tidy.csv")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("gadre_overtraining")


def test_the_four_errors_agree(made: Reproduction):
    assert sorted(row.published for row in made.rows) == [0.0464, 0.7103, 0.7320, 3.6365]
    assert [row.verdict for row in made.rows] == ["agrees"] * 4


def test_both_laws_are_drawn_with_their_runs(made: Reproduction):
    above, below = made.figure.axes
    assert "FLOPs" in above.get_xlabel() and "nats/token" in above.get_ylabel()
    assert "nats/token" in below.get_xlabel() and "17 tasks" in below.get_ylabel()
    shown = {line.get_label(): len(line.get_xdata()) for line in below.get_lines()}
    assert (shown["fitted"], shown["fitted, error only"], shown["target, measured"]) == (5, 1, 2)


def test_the_notes_warn_of_the_optimum_below_the_runs(made: Reproduction):
    assert any("7.4 tokens per parameter" in note for note in made.notes)
