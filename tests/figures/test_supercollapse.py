from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("supercollapse")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("supercollapse")


def test_sizes_differ_by_less_than_seeds_late_in_training(made: Reproduction):
    assert [row.verdict for row in made.rows] == ["agrees", "agrees"]


def test_a_constant_rate_does_not_collapse(made: Reproduction):
    said = next(note for note in made.notes if "constant rate" in note)
    assert float(said.split("differ by ")[1].split(" %")[0]) > 3


def test_the_picture(made: Reproduction):
    assert len(made.figure.axes) == 4
    assert all("share of training" in axes.get_xlabel() for axes in made.figure.axes)
