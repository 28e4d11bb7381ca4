from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("critical_batch_size")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("critical_batch_size")


def test_all_is_reproduced(made: Reproduction):
    assert len(made.rows) == 3 * 5 + 4
    assert {row.verdict for row in made.rows} == {"agrees"}
    headline = next(row for row in made.rows if row.quantity.startswith("CBS = c N^p"))
    assert headline.ours == pytest.approx(93.1968, abs=1e-4)


def test_it_says_that_size_and_data_rise_together(made: Reproduction):
    assert any("cannot tell size from data" in note for note in made.notes)


def test_all_axes_are_labelled(made: Reproduction):
    assert len(made.figure.axes) == 3
    assert all(axes.get_xlabel() for axes in made.figure.axes)
