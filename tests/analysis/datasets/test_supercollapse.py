"""Compute-optimal runs of supercollapse: seeds, and losses that fall with compute beyond them."""

from __future__ import annotations

import pytest
from paths import needs_tables

from analysis.datasets import load

pytestmark = needs_tables("supercollapse")


@pytest.mark.parametrize(("experiment", "seeds"), [("mlp", 7), ("chess", 5), ("c5m", 5)])
def test_losses_fall_by_more_than_the_seeds_spread(experiment: str, seeds: int):
    table = load("supercollapse")
    assert len(table) == 258 and table["run_id"].is_unique
    loss = table[table["experiment"] == experiment].groupby("petaflops")["loss"]
    assert len(loss) == 8 and loss.size().eq(seeds).all()
    assert (-loss.mean().diff().dropna() > 2 * loss.std().iloc[1:]).all()
