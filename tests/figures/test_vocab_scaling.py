"""The vocabulary law at its published constants, and the exponent that the slip of units moves."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.figures import Reproduction, reproduce

pytestmark = [needs_tables("vocab_scaling"), pytest.mark.slow]


@pytest.fixture(scope="module")
def made() -> Reproduction:
    return reproduce("vocab_scaling")


def test_the_published_objective_is_reproduced(made: Reproduction):
    compared = [row for row in made.rows if row.tolerance is not None]
    assert [row.verdict for row in compared] == ["agrees"] * 2


def test_our_optimum_is_lower_and_that_of_true_tokens_is_elsewhere(made: Reproduction):
    ours = {row.quantity: row for row in made.rows}
    lower = ours["objective at the optimum"]
    assert lower.ours == pytest.approx(0.0622914, abs=1e-7) and lower.ours < lower.published
    assert ours["alpha2, at the optimum"].ours == pytest.approx(0.6637, abs=1e-3)
    assert ours["alpha2 with D = H f(V)"].ours == pytest.approx(1.0588, abs=1e-3)
