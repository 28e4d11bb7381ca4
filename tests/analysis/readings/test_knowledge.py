"""The reading of bits: by size and exposures, with the interval over the runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_studies import Row, write

from analysis.readings import knowledge
from analysis.tables.study import load_study
from scaling.common.errors import UserError


def row(params: int, exposures: int, capacity: float, most: float = 1e5) -> Row:
    """20 documents of each person, of which 95 % train."""
    bits = {"knowledge.bits": capacity * params, "knowledge.most_bits": most}
    return Row(
        f"{exposures} exposures",
        {"loss": 1.0, "epochs_by_source": {"people": exposures / 20 / 0.95}, "evaluations": bits},
        params=params,
        data={"path": "people=300&exposures=20", "valid_fraction": 0.05},
    )


def test_capacity_by_exposures_with_its_interval(tmp_path: Path) -> None:
    rows = [row(10_000, 100, 0.9), row(20_000, 100, 1.1), row(10_000, 1000, 2.0)]
    found = knowledge.read(load_study(write(tmp_path, "knowledge", rows)))
    assert found is not None
    assert [run.exposures for run in found.runs] == pytest.approx([100, 1000, 100])
    value, low, high = found.mean("100")
    assert value == pytest.approx(1.0)
    assert (low, high) == pytest.approx((1 - 12.706 * 0.1, 1 + 12.706 * 0.1), abs=1e-3)
    assert "at most 2.00 bits a parameter, after 1000 exposures" in str(found)
    each, means = found.tables
    assert len(each.rows) == 3
    assert [name for name, *_ in means.rows] == ["100", "1000"]
    (picture,) = found.pictures()
    assert picture.draw().axes


def test_runs_without_the_task_are_refused(tmp_path: Path) -> None:
    rows = [Row("100 exposures", {"loss": 1.0})]
    with pytest.raises(UserError, match=r"set evaluation\.tasks=knowledge"):
        knowledge.read(load_study(write(tmp_path, "knowledge", rows)))
