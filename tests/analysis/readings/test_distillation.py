"""The reading of distillation: the teachers' passes count beside their training."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from analysis.readings import distillation
from analysis.tables.study import load_study
from experiments import record


def test_a_student_pays_for_its_teacher(tmp_path: Path) -> None:
    """Alone L = 10 C^-0.1. Students of 80 FLOPs, whose teacher cost 20 and whose passes cost 10 and
    5, have the losses of 120 and 110 FLOPs alone."""
    plan = []

    def run(run_id: str, flops: float, equal: float, passes: float = 0.0, label: str = "") -> None:
        counts = {"params_total": 8.0, "flops_model": flops, "flops_6nd": flops, "tokens": 1.0}
        plan.append(
            records.planned(run_id, label=label, part="fit" if label else "trunk", **counts)
        )
        begun = {
            "parents": (record.Parent(run_id="teacher", step=8),),
            "derivation": record.Derivation(
                operation="distill", flops_parents=20.0, teachers=("teacher",),
                flops_teachers=passes,
            ),
        }  # fmt: skip
        summary = records.run_summary(
            run_id, metrics={"loss": 10 * equal**-0.1}, label=label, accounting=counts,
            **(begun if passes else {}),
        )  # fmt: skip
        record.write(tmp_path / run_id, summary)

    run("teacher", 20.0, 20.0)
    for flops in (50.0, 100.0, 200.0):
        run(f"alone{flops}", flops, flops, label="scratch")
    run("one", 80.0, 120.0, 10.0, label="taught")
    run("two", 80.0, 110.0, 5.0, label="taught")
    record.write(tmp_path, records.plan("distillation", plan, reading="distillation", loss="loss"))
    found = distillation.read(load_study(tmp_path))
    assert found is not None
    (arm,) = found.arms
    assert arm.speedups["none"] == pytest.approx((120 / 80 - 1, 110 / 80 - 1))
    assert arm.speedups["full"] == pytest.approx((120 / 110 - 1, 110 / 105 - 1))
    passes = 10 * 10 / 15, 5 * 10 / 15
    assert arm.speedups["amortised"] == pytest.approx((120 / (90 + passes[0]) - 1,
                                                       110 / (90 + passes[1]) - 1))  # fmt: skip
    assert "taught is the best distillation" in str(found)
