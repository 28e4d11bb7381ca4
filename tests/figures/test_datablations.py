"""The published constants of Muennighoff et al. 2023, and the valley that they lie in."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, Row, reproduce

pytestmark = needs_tables("datablations/tidy_all.csv")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("datablations")


@pytest.fixture(scope="module")
def rows(made: Reproduction) -> dict[str, Row]:
    return {row.quantity: row for row in made.rows}


def test_what_can_be_compared_agrees(made: Reproduction):
    compared = [row for row in made.rows if row.tolerance is not None]
    assert len(compared) == 8
    assert [row.verdict for row in compared] == ["agrees"] * 8


def test_objective_and_r2_at_the_published_constants(rows: dict[str, Row]):
    assert rows["objective, at the published constants"].ours == pytest.approx(
        0.015825936, abs=2e-9
    )
    assert rows["R2, at the published constants"].ours == pytest.approx(0.7722046084968, abs=1e-12)


def test_our_optimum_is_lower_and_elsewhere(rows: dict[str, Row]):
    """A fine grid, polished by a simplex search, finds the same optimum."""
    lower = rows["objective at R_D*, R_N* of each"]
    assert lower.ours == pytest.approx(0.015804662474, rel=1e-9)
    assert lower.ours < lower.published
    assert rows["R_D*"].ours == pytest.approx(95.365, abs=0.01)
    assert rows["R_N*"].ours == pytest.approx(1.7059, abs=1e-3)
    assert all(row.why for row in rows.values() if row.tolerance is None)


def test_the_flat_valley_is_said_and_drawn(made: Reproduction):
    assert any("no upper end" in note for note in made.notes)
    contour, epochs = made.figure.axes
    assert contour.get_xscale() == contour.get_yscale() == "log"
    assert "nats/token" in epochs.get_ylabel()


def test_constants_of_runs_of_few_epochs_agree() -> None:
    made = reproduce("datablations_epochs")
    assert len(made.rows) == 11
    assert {row.verdict for row in made.rows} == {"agrees"}
    assert "1.45B parameters" in made.notes[0]
