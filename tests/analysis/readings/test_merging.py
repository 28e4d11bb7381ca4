"""The reading of merges: means over subsets, the law below the largest k and N, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import records

from analysis.readings import merging
from analysis.tables.study import load_study
from experiments import record
from scaling.laws import by_name

KNOWN = {"L": 1.0, "B": 40.0, "beta": 0.4, "A": 4.0, "gamma": 0.3, "b": 0.5}
SIZES = (4_000, 8_000, 16_000, 32_000)


def write(
    folder: Path, sizes: tuple[int, ...] = SIZES, spread: float = 0.002, last: int = 5
) -> Path:
    """A study whose averages have the law's loss, two subsets each beside it.

    Of the largest size the averages go to `last` experts.
    """
    law, plan = by_name("merging"), []

    def run(params: int, label: str, experts: int, loss: float) -> None:
        run_id = f"run{len(plan)}"
        counts = {
            "params_total": float(params),
            "tokens": 0.0,
            "flops_6nd": 0.0,
            "flops_model": 1.0,
        }
        plan.append(records.planned(run_id, label=label, **counts))
        begun = {
            "parents": tuple(record.Parent(run_id=f"expert{k}", step=8) for k in range(experts)),
            "derivation": record.Derivation(operation=label, flops_parents=1.0),
        }
        summary = records.run_summary(
            run_id, metrics={"loss": loss}, label=label, accounting=counts, **begun
        )
        record.write(folder / run_id, summary)

    for params in sizes:
        for k in range(1, 1 + (last if params == sizes[-1] else 5)):
            exact = float(law.predict(KNOWN, params=params, experts=k))
            for side in (-spread, spread):
                run(params, "expert" if k == 1 else "average", k, exact + side)
        run(params, "multitask", 1, 1.5)
        run(params, "ties", 6, 2.0)
    record.write(folder, records.plan("merging", plan, reading="merging", loss="loss"))
    return folder


def test_a_known_law_is_found_and_predicts_the_held_out_k_and_size(tmp_path: Path) -> None:
    found = merging.read(load_study(write(tmp_path)))
    assert found is not None
    assert len(found.cells) == 20
    cell = found.cells[0]
    assert (cell.experts, cell.subsets) == (1, 2)
    assert cell.interval[1] - cell.loss == pytest.approx(12.706 * 0.002, rel=1e-3)
    assert found.errors()["held-out k"] < 2e-3
    assert found.errors()["held-out N"] < 2e-2
    assert found.others["multitask"] == dict.fromkeys(map(float, SIZES), 1.5)
    assert "one run on all texts at equal compute 1.500" in str(found)
    assert [len(table.rows) for table in found.tables] == [20, 8]
    assert found.pictures()[0].draw().axes
    assert found.law is not None
    assert found.law.points.variables["experts"].max() == 4  # the most is held out


def test_few_sizes_have_means_and_no_law(tmp_path: Path) -> None:
    found = merging.read(load_study(write(tmp_path, SIZES[:2])))
    assert found is not None
    assert (found.law, found.errors()) == (None, {})
    assert found.notes == ("no law: 4 cells below the largest size and number of experts",)
    assert np.isfinite([cell.loss for cell in found.cells]).all()


def test_a_size_whose_merges_have_not_finished_is_left_out(tmp_path: Path) -> None:
    found = merging.read(load_study(write(tmp_path, last=3)))
    assert found is not None
    assert found.largest == SIZES[-2]
    assert "32k parameters: not all merges have finished; left out" in found.notes
    assert str(found).startswith("at 16")
    assert found.pictures()[0].draw().axes
