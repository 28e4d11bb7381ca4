"""Shares solved, over seeds, and the family that leads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.readings.state_tracking import LATE, SOLVED, read
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError

SHARES = {
    ("word_problem", "attention"): (0.30, 0.32, 0.31),
    ("word_problem", "gated_delta"): (0.90, 0.92, 0.91),
    ("copies", "attention"): (0.95, 0.99, 0.97),
    ("copies", "gated_delta"): (0.90, 0.98, 0.94),
}


def study() -> StudyRecords:
    rows = [
        {
            "run_id": f"{task}-{label}-{k}", "status": "completed", "part": "fit", "rung": 0,
            "label": label, "data.source": task, SOLVED: share, LATE: share - 0.1,
        }
        for (task, label), shares in SHARES.items()
        for k, share in enumerate(shares)
    ]  # fmt: skip
    return StudyRecords(
        Path("runs"), "state_tracking", "?", None, "state_tracking", "loss_per_byte",
        "params_total", "tokens", {}, {}, {}, pd.DataFrame(rows),
    )  # fmt: skip


def test_a_family_leads_where_its_interval_is_above_the_others() -> None:
    found = read(study())
    assert found is not None
    assert found.leaders == {"word_problem": "gated_delta", "copies": "none"}
    runs, (value, low, high), late = found.cells["word_problem", "attention"]
    assert (runs, value) == (3, pytest.approx(0.31))
    assert (high - low) / 2 == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-3)
    assert late[0] == pytest.approx(0.21)
    assert found.cells["copies", "attention"][1][2] == 1, "no share is more"
    assert "0.310 [0.285, 0.335]" in str(found.tables[0])
    (picture,) = found.pictures()
    assert len(picture.draw().axes) == 2


def test_runs_without_the_task_are_refused() -> None:
    some = study()
    with pytest.raises(UserError, match=r"set evaluation\.tasks=answers"):
        read(replace(some, runs=some.runs.drop(columns=[SOLVED])))
    assert read(replace(some, runs=some.runs.assign(status="missing"))) is None
