"""The reading of growth: speed-up at equal total compute, by three counts of the small model."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from analysis.readings import growth
from analysis.tables.study import load_study
from experiments import record


def write(folder: Path, gains: tuple[float, ...]) -> Path:
    """Scratch runs of L = 10 C^-0.1, and runs that cost C = 100, 20 of it their parent's, with the
    loss of 100 times each gain."""
    plan = []

    def run(label: str, flops: float, loss: float, older: float = 0.0) -> None:
        run_id = f"run{len(plan)}"
        counts = {"params_total": 1e4, "tokens": 1.0, "flops_6nd": flops, "flops_model": flops}
        plan.append(records.planned(run_id, label=label, **counts))
        begun = {
            "parents": (record.Parent(run_id="small", step=8),),
            "derivation": record.Derivation(operation="stack", flops_parents=older),
        }
        summary = records.run_summary(
            run_id,
            metrics={"loss": loss},
            label=label,
            accounting=counts,
            **(begun if older else {}),
        )
        record.write(folder / run_id, summary)

    record.write(folder / "small", records.run_summary("small", accounting={"flops_model": 20.0}))
    plan.append(records.planned("small", part="trunk", flops_6nd=20.0))
    for flops in (50.0, 100.0, 200.0):
        run("scratch", flops, 10 * flops**-0.1)
    for gain in gains:
        run("stack after 0.2", 80.0, 10 * (100 * gain) ** -0.1, older=20.0)
    record.write(folder, records.plan("growth", plan, reading="growth", loss="loss"))
    return folder


def test_speed_up_under_three_counts_of_the_parents(tmp_path: Path) -> None:
    found = growth.read(load_study(write(tmp_path, (1.4, 1.6))))
    assert found is not None
    (arm,) = found.arms
    assert arm.speedups["full"] == pytest.approx((0.4, 0.6))
    assert arm.speedups["amortised"] == pytest.approx((140 / 90 - 1, 160 / 90 - 1))
    assert arm.speedups["none"] == pytest.approx((140 / 80 - 1, 160 / 80 - 1))
    value, low, high = arm.mean("full")
    assert (value, high - value) == pytest.approx((0.5, 12.706 * 0.1), rel=1e-3)
    assert low < 0
    assert "which does not differ from none beyond the seeds" in str(found)
    assert found.pictures()[0].draw().axes


def test_a_gain_beyond_the_seeds_is_told_and_runs_from_the_start_alone_say_nothing(
    tmp_path: Path,
) -> None:
    found = growth.read(load_study(write(tmp_path / "sure", (1.5, 1.501, 1.499))))
    assert found is not None
    assert "stack after 0.2 is the best growth: 50.0 [49.8, 50.2] %" in str(found)
    assert "beyond the seeds" not in str(found)
    assert growth.read(load_study(write(tmp_path / "none", ()))) is None
