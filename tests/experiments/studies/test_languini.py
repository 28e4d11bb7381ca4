"""Tokens of a compute class are what a model trains on in that time, by its measured speed."""

from __future__ import annotations

from pathlib import Path

import pytest
import records

from experiments import record
from experiments.record import MetricsRow
from experiments.studies.languini import CHOSEN, SCALES, study
from scaling.common.errors import UserError

SPEEDS = {("attention", 16): 2e5, ("attention", 24): 1e5, ("qlstm", 16): 1e5, ("qlstm", 24): 5e4}


def test_the_tokens_of_a_class_follow_from_measured_speeds(tmp_path: Path) -> None:
    for (label, width), speed in SPEEDS.items():
        folder = tmp_path / f"{label}{width}"
        summary = records.run_summary(folder.name, label=label, science={"model": {"width": width}})
        record.write(folder, summary)
        # nine seconds of the first row are compilation
        for row in (1, 2, 3):
            record.append_rows(
                folder / record.METRICS,
                [MetricsRow(step=row, tokens=round(row * speed), metrics={}, seconds=9.0 + row)],
            )
    found = study("quick", measured=str(tmp_path))
    batch = SCALES["quick"].size.batch.sequences * 128
    for run in found.runs:
        minutes, science = SCALES["quick"].minutes[run.rung], run.config.science
        tokens = SPEEDS[run.label, science.model.width] * 60 * minutes
        assert tokens - batch < science.budget.tokens <= tokens
    assert {run.label for run in found.runs} == set(CHOSEN)
    with pytest.raises(UserError, match="no finished run of attention at width 32; run languini"):
        study("cpu", measured=str(tmp_path))
    with pytest.raises(UserError, match="no finished runs; run languini with stage=measure"):
        study("quick", measured=str(tmp_path / "none"))
