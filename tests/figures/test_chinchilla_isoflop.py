from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("isoflop_collection", "chinchilla_epoch")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("chinchilla_isoflop")


def test_three_approaches_on_the_points_of_the_figure(made: Reproduction):
    ours = {row.quantity: row.ours for row in made.rows}
    assert ours["Approach 1: N* ~ C^a, a"] == pytest.approx(0.473, abs=0.001)
    assert ours["Approach 2: N* ~ C^a, a"] == pytest.approx(0.53, abs=0.01)
    assert ours["Approach 3: N* ~ C^a, a"] == pytest.approx(0.5139, abs=1e-4)
    assert ours["budgets"] == 9
    assert all(row.why for row in made.rows if row.tolerance is None)


def test_the_picture_has_curves_and_all_approaches(made: Reproduction):
    curves, optima = made.figure.axes
    assert "nats/token" in curves.get_ylabel()
    named = [text.get_text() for text in optima.get_legend().get_texts()]
    assert named[1:4] == ["Approach 1", "Approach 2", "Approach 3"]
