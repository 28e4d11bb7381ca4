"""The table of runs: what varies, residuals where they are known, time, and use."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import Plan, write_study

from analysis.inference import forecast
from analysis.report.evidence import gather
from analysis.report.page.run_table import duration, run_table
from analysis.tables.study import load_study


def test_rows_say_what_varies_and_what_the_law_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 20)
    evidence = gather(load_study(write_study(tmp_path, Plan(statuses={3: "diverged"}))))
    table = run_table(evidence)
    names = [column.name for column in table.columns]
    assert {"D/N", "above the law, %", "time", "in the fit"} <= set(names)
    assert "width" in names  # the field in which the runs differ
    cells = {row[0]: dict(zip(names, row, strict=True)) for _, row in table.rows}
    result = evidence.assessment.result
    for name, residual in zip(result.points.rows["run_id"], result.residuals, strict=True):
        assert cells[name]["above the law, %"] == f"{100 * residual:+.2f}"
    (left_out,) = (row for row in cells.values() if row["in the fit"] == "no: diverged")
    assert left_out["above the law, %"] == "–"
    run = evidence.study.runs.iloc[0]
    assert cells[run["run_id"]]["D/N"] == f"{run['tokens'] / run['params_total']:.3g}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(12, "12 s"), (89, "89 s"), (210, "3.5 min"), (9000, "2.5 h")]
)
def test_duration(seconds: float, text: str):
    assert duration(seconds) == text
