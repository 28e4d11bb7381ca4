"""Components of the benchmarks of many models, on the released table."""

from __future__ import annotations

import numpy as np
import pytest
from paths import needs_tables

from analysis.datasets import load
from analysis.figures import reproduce
from analysis.figures.observational_scaling import complete

pytestmark = needs_tables("observational_scaling")


def test_three_components_agree() -> None:
    made = reproduce("observational_scaling")
    first, three, linear = made.rows
    assert three.verdict == "agrees"
    assert first.verdict == linear.verdict == "not comparable"
    assert first.ours == pytest.approx(0.85, abs=0.01) and linear.ours > 0.94


def test_gaps_of_a_table_of_one_component_are_filled() -> None:
    rng = np.random.default_rng(0)
    whole = 0.5 + np.outer(rng.normal(size=60), rng.normal(size=8))
    gaps = whole.copy()
    gaps[rng.uniform(size=whole.shape) < 0.05] = np.nan
    np.testing.assert_allclose(complete(gaps), whole, atol=1e-3)


def test_the_slip_of_the_table_is_mended() -> None:
    models = load("observational_scaling").set_index("run_id")
    assert len(models) == 148
    assert models.loc["cerebras/btlm-3b-8k-base", "tokens"] == pytest.approx(0.627e12)
