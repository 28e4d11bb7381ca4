"""Effect of each choice of a fit on its answer (Li et al. 2025)."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce
from analysis.figures.misfitting import VARIANTS

pytestmark = [needs_tables("misfitting/tidy.csv.gz"), pytest.mark.slow]  # half a minute of fits


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("misfitting")


def test_three_fits_agree_with_scipy(made: Reproduction):
    assert len(made.rows) == 9
    assert {row.verdict for row in made.rows} == {"agrees"}


def test_the_spread_is_told(made: Reproduction):
    exponent, ratio, outside, floor = made.notes
    assert "from 0.50 (alpha = beta) to 0.93 (embeddings not counted)" in exponent
    assert "first fit gives 0.84" in exponent
    assert "from 1.4 (N below 2e8) to 26.2 (alpha = beta)" in ratio
    assert "all checkpoints" in outside and "Huber" not in outside
    assert "embeddings not counted" in floor


def test_every_choice_is_drawn_in_both_panels(made: Reproduction):
    names = [variant.name for variants in VARIANTS.values() for variant in variants]
    left, right = made.figure.axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == names
    for axes in (left, right):
        dots = [line for line in axes.get_lines() if line.get_marker() in ("o", "D")]
        assert len(dots) == len(names)
    assert right.get_xscale() == "log"
