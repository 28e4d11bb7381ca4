"""The refit of Besiroglu et al. 2024: every published number that the points can answer."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("chinchilla_epoch")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("chinchilla_refit")


def test_every_comparable_row_agrees(made: Reproduction):
    verdicts = {row.quantity: row.verdict for row in made.rows}
    assert verdicts.pop("D/N of the refit, 5.88e23") == "not comparable"
    assert len(verdicts) == 34
    assert set(verdicts.values()) == {"agrees"}, verdicts


def test_the_published_ratio_is_that_of_another_budget(made: Reproduction):
    """25.7 tokens per parameter, at 1e18 FLOPs and not at Chinchilla's budget."""
    ours = {row.quantity: row.ours for row in made.rows}
    assert ours["D/N of the refit, 1e18"] == pytest.approx(25.66, abs=0.1)
    assert ours["D/N of the refit, 5.88e23"] == pytest.approx(18.3, abs=0.2)


def test_the_notes_say_what_the_five_points_carry(made: Reproduction):
    notes = " ".join(made.notes)
    assert "D/N at 5.76e+23 FLOPs: 17.9" in notes
    assert "0.453, 0.412, 0.382, 0.367, 0.327 and D/N 6.8, 10.1, 14.7, 17.9, 31.1" in notes


def test_the_picture(made: Reproduction):
    ratio, exponents, residuals, path = made.figure.axes
    assert ratio.get_xscale() == "log" and "tokens per parameter" in ratio.get_ylabel()
    cloud = max(exponents.get_lines(), key=lambda line: len(line.get_xdata()))
    assert len(cloud.get_xdata()) == 4000
    assert "%" in residuals.get_xlabel()
    assert [len(line.get_xdata()) for line in path.get_lines()] == [21, 21, 2]
