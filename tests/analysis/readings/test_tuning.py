"""The reading of tuning: shares of the full gain, and the count for 95 % of it against size."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from analysis.readings import tuning
from analysis.tables.study import load_study
from experiments import record


def test_share_of_the_gain_and_count_for_most_of_it(tmp_path: Path) -> None:
    """The share is 0.9 at N / 10 values and 1 at N, so that it passes 95 % at N / 10^0.5."""
    plan = []
    for seed in (0, 1):
        for n in (1000.0, 8000.0):
            losses = {"before": (3.0, 0), "all": (2.0, n), "a": (2.1, n / 10), "b": (2.0, n)}
            for name, (loss, count) in losses.items():
                label = name if name in ("before", "all") else "support, layers"
                run_id = f"{name}{n:.0f}-{seed}"
                counts = {"params_total": n, "tokens": 1.0}
                plan.append(records.planned(run_id, label=label, **counts))
                begun = record.Derivation(
                    operation="continue", flops_parents=1.0, params_trained=int(count)
                )
                summary = records.run_summary(
                    run_id, metrics={"loss": loss}, label=label, accounting=counts,
                    science={"seed": seed}, derivation=begun,
                    parents=(record.Parent(run_id="base", step=8),),
                )  # fmt: skip
                record.write(tmp_path / run_id, summary)
    record.write(tmp_path, records.plan("tuning", plan, reading="tuning", loss="loss"))
    found = tuning.read(load_study(tmp_path))
    assert found is not None
    assert found.shares["support, layers", 1000.0, 100.0] == pytest.approx((0.9, 0.9))
    count = found.counts["support, layers", 8000.0]
    assert count == pytest.approx((8000 / 10**0.5,) * 2)
    assert found.slopes["support, layers"] == pytest.approx((1.0, 1.0))
    assert "goes as N^1.000 [1.000, 1.000] (support, layers)" in str(found)
    assert [len(table.rows) for table in found.tables] == [4, 2]
    assert found.pictures()[0].draw().axes
