from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = needs_tables("isoflop_collection")


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("isoflop_collection")


def test_the_exponents_by_the_recipe_of_the_papers(made: Reproduction):
    """Recomputed with plain parabolas by the collectors of the tables."""
    ours = {row.quantity: row.ours for row in made.rows}
    assert ours["Llama 3: D* ~ C^p, p"] == pytest.approx(0.5000003845584502, abs=1e-9)
    assert ours["Chinchilla, Epoch: D* ~ C^p, p"] == pytest.approx(0.458578653485, abs=1e-9)
    assert ours["Chinchilla, scalefit: D* ~ C^p, p"] == pytest.approx(0.456956393423, abs=1e-9)
    assert all(row.why for row in made.rows if row.tolerance is None)


def test_the_recipe_matters_for_marin(made: Reproduction):
    said = next(note for note in made.notes if note.startswith("Marin, Comma"))
    assert "C^0.552 by parabolas, C^0.602" in said
    assert [axes.get_xlabel() for axes in made.figure.axes] == ["compute C, FLOPs", "p of D* ~ C^p"]
