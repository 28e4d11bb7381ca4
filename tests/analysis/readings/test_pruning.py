"""The reading of pruning: dense parameters of equal loss over those that are not zero."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from analysis.readings import pruning
from analysis.tables.study import load_study
from experiments import record
from scaling.common.errors import UserError


def write(folder: Path, worths: tuple[float, ...]) -> Path:
    """Dense runs of L = 10 N^-0.1, a tenth of N its embedding's, and runs of 1000 parameters that
    are pruned to a quarter, each worth so many dense ones for a non-zero, a seed each."""
    plan = []

    def run(label: str, params: float, loss: float, seed: int, density: float | None) -> None:
        run_id = f"run{len(plan)}"
        counts = {"params_total": params, "params_nonembedding": 0.9 * params, "tokens": 1.0}
        plan.append(records.planned(run_id, label=label, **counts))
        settings = {} if density is None else {"density": density}
        summary = records.run_summary(
            run_id,
            metrics={"loss": loss},
            label=label,
            accounting=counts,
            science={"seed": seed},
            parents=(record.Parent(run_id="before", step=8),),
            derivation=record.Derivation(operation="prune", settings=settings, flops_parents=1.0),
        )
        record.write(folder / run_id, summary)

    for seed, worth in enumerate(worths or (1.0,)):
        for params in (100.0, 1000.0):
            run("dense", params, 10 * params**-0.1, seed, None)
        if worths:
            run("pruned", 1000.0, 10 * (worth * 325.0) ** -0.1, seed, 0.25)
    record.write(folder, records.plan("pruning", plan, reading="pruning", loss="loss"))
    return folder


def test_worth_of_a_non_zero_parameter(tmp_path: Path) -> None:
    found = pruning.read(load_study(write(tmp_path, (1.4, 1.6))))
    assert found is not None
    (arm,) = found.arms
    assert arm.nonzeros == 325 and arm.inside
    assert arm.worths == pytest.approx((1.4, 1.6))
    value, _, high = arm.worth
    assert (value, high - value) == pytest.approx((1.5, 12.706 * 0.1), rel=1e-3)
    assert "does not differ from 1 beyond the seeds" in str(found)
    assert found.pictures()[0].draw().axes


def test_a_worth_beyond_the_dense_models_is_marked(tmp_path: Path) -> None:
    found = pruning.read(load_study(write(tmp_path, (4.0, 4.001, 3.999))))
    assert found is not None
    assert "worth 4.00 [4.00, 4.00] dense ones" in str(found) and "seeds" not in str(found)
    assert found.tables[0].rows[0][-2].endswith("*")


def test_dense_models_alone_say_nothing(tmp_path: Path) -> None:
    assert pruning.read(load_study(write(tmp_path, ()))) is None


def test_runs_without_a_density_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, ())
    plan = [
        records.planned(each.run_id, label="pruned", **each.accounting)
        for each in record.read(folder, record.StudyPlan).runs
    ]
    record.write(folder, records.plan("pruning", plan, reading="pruning", loss="loss"))
    with pytest.raises(UserError, match="name no density"):
        pruning.read(load_study(folder))
