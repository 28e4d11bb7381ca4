"""Event files that TensorBoard's own writer wrote, and scalars in the form of its exports."""

from __future__ import annotations

from pathlib import Path

import pytest
import records
import tiny

from analysis.tables import importers
from experiments import record
from experiments.record import Status
from experiments.runs.summary import write_config
from experiments.trackers._mirror import mirror

pytest.importorskip("tensorboard")


def test_event_files_of_the_mirror(tmp_path: Path):
    """A record, mirrored and imported again: the same losses, settings and ending."""
    job = tiny.job(tmp_path)
    record.write(tmp_path, records.plan("tiny", [records.planned(job.run.run_id)]))
    write_config(job, ())
    rows = [records.training(8 * k, 3.0 - k / 8, float(k), 512 * k) for k in range(1, 5)]
    record.append_rows(job.folder / record.METRICS, rows)
    record.write(
        job.folder,
        records.run_summary(status=Status.DIVERGED, accounting={"params_total": 1000}),
    )
    mirror(tmp_path, "tensorboard", (None,))
    found = importers.load("tensorboard", tmp_path / "tensorboard")
    (run,) = found.runs.to_dict("records")
    assert run["run_id"] == job.run.run_id and run["status"] == "diverged"
    assert run["loss"] == 2.5 and run["params_total"] == 1000
    assert any(name.startswith("model.") for name in run)
    losses = found.histories.dropna(subset="loss")
    assert losses["step"].tolist() == [8, 16, 24, 32]
    assert losses["loss"].tolist() == [3.0 - k / 8 for k in range(1, 5)]


def test_exported_scalars_are_joined_by_run_and_step(tmp_path: Path):
    (tmp_path / "run-a-tag-eval_loss.csv").write_text("Wall time,Step,Value\n1,1,3.5\n2,2,3.0\n")
    (tmp_path / "run-a-tag-tokens.json").write_text("[[1.0, 1, 1000], [2.0, 2, 2000]]")
    (tmp_path / "run-b-tag-eval_loss.csv").write_text("Wall time,Step,Value\n1,1,4.0\n")
    found = importers.load("tensorboard", tmp_path)
    assert found.runs[["run_id", "loss"]].values.tolist() == [["a", 3.0], ["b", 4.0]]
    assert found.histories.iloc[1].to_dict() == {
        "run_id": "a", "step": 2, "loss": 3.0, "tokens": 2000.0,
    }  # fmt: skip
