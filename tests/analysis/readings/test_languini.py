"""Families whose laws of hours are known, read as a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.readings.languini import read
from analysis.tables.study import StudyRecords

CROSS = 30.0  # hours
SLOPES = {"attention": 0.10, "qlstm": 0.05}


def study(slopes: dict[str, float]) -> StudyRecords:
    """Of each class two sizes, the worse one first; both laws have the loss 2 at `CROSS`."""
    rng, rows = np.random.default_rng(0), []
    for rung, minutes in enumerate((0.5, 1, 2, 4, 8)):
        for name, slope in slopes.items():
            for size, worse in ((1e4, 1.1), (2e4, 1.0)):
                loss = 2 * (minutes / 60 / CROSS) ** -slope * np.exp(rng.normal(0, 0.001))
                rows.append({
                    "run_id": f"{name}{rung}{size}", "status": "completed", "part": "fit",
                    "label": name, "rung": rung,
                    "wall_seconds": 60 * minutes + 30, "first_dispatch_seconds": 30.0,
                    "params_total": size, "loss_per_byte": worse * loss,
                })  # fmt: skip
    return StudyRecords(
        Path("runs"), "languini", "?", None, "languini", "loss_per_byte", "params_total", "tokens",
        {}, {}, {}, pd.DataFrame(rows),
    )  # fmt: skip


def test_two_laws_cross_where_they_do_and_equal_slopes_do_not() -> None:
    found = read(study(SLOPES))
    assert found is not None
    (crossed,) = found.crossings.values()
    assert crossed.budget == pytest.approx(CROSS, rel=0.2)
    assert crossed.low < CROSS < crossed.high
    assert str(found).startswith("qlstm has the lower loss up to")
    assert found.notes == ()
    assert [len(table.rows) for table in found.tables] == [10, 1]
    assert set(found.best["params_total"]) == {2e4}, "the best size of each class"
    (picture,) = found.pictures()
    assert len(picture.draw().axes[0].lines) == 4
    apart = study({"attention": 0.10, "qlstm": 0.10})
    rows = apart.runs
    better = rows["loss_per_byte"] * np.where(rows["label"] == "qlstm", 0.9, 1)
    never = read(replace(apart, runs=rows.assign(loss_per_byte=better)))
    assert never is not None
    assert "no crossing with attention" in str(never)
    assert never.tables[1].rows[0][2:4] == ("none", "none")


def test_other_work_beside_is_told_and_too_few_classes_have_no_answer() -> None:
    some = study(SLOPES)
    slow = 30 + (some.runs["wall_seconds"] - 30) * np.where(some.runs["label"] == "qlstm", 1.5, 1)
    found = read(replace(some, runs=some.runs.assign(wall_seconds=slow)))
    assert found is not None
    assert "longest over shortest of class 0: 1.50" in found.notes[0]
    assert read(replace(some, runs=some.runs[some.runs["rung"] < 3])) is None
    assert read(replace(some, runs=some.runs.assign(status="missing"))) is None
