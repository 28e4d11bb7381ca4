"""RegMix on the released runs: ranks, and the best mixture of its notebook."""

from __future__ import annotations

from paths import needs_tables

from analysis.datasets import load
from analysis.figures import reproduce

pytestmark = needs_tables("regmix/raw")


def test_ranks_and_the_best_mixture_agree() -> None:
    made = reproduce("regmix")
    compared = [row for row in made.rows if row.tolerance is not None]
    assert len(compared) == 5
    assert [row.verdict for row in compared] == ["agrees"] * 5
    assert all(row.why for row in made.rows if row.tolerance is None)


def test_the_table_has_the_runs_of_each_split() -> None:
    table = load("regmix")
    assert table["split"].value_counts().to_dict() == {
        "train": 512,
        "test_1m": 256,
        "test_60m": 256,
        "test_1B": 64,
    }
    assert table.filter(like="weights_by_source.").shape[1] == 17
    assert (table["loss"] == table["losses_by_source.pile_cc"]).all()
