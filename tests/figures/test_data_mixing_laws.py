"""Published constants on the released mixtures have their published errors."""

from __future__ import annotations

import numpy as np
from paths import needs_tables

from analysis.datasets import load
from analysis.figures import reproduce

pytestmark = needs_tables("data_mixing_laws")


def test_the_published_errors_of_all_five_domains() -> None:
    made = reproduce("data_mixing_laws")
    compared = [row for row in made.rows if row.tolerance is not None]
    assert [row.verdict for row in compared] == ["agrees"] * 5
    ours = [row.ours for row in made.rows if row.tolerance is None]
    assert max(ours) < 1.2


def test_the_table_has_26_mixtures_whose_weights_add_up() -> None:
    table = load("data_mixing_laws")
    weights = table.filter(like="weights_by_source.")
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert table.groupby("model")["run_id"].nunique()[["70M", "160M", "410M"]].tolist() == [26] * 3
    assert (table.filter(like="losses_by_source.") > 0).all(axis=None)
