"""Outputs in the form of Marin's training steps: small ones, written by hand here.

The forms are those of Levanter's trackers: `replicate_path` of its W&B tracker writes one record,
its JSON logger an event a line.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.tables import importers
from scaling.common.errors import UserError

SUMMARY = {
    "parameter_count": 1e8, "throughput/total_tokens": 2e9, "throughput/total_gflops": 1.4e9,
    "eval/paloma/c4_en/loss": 3.2, "eval/paloma/c4_en/bpb": 1.1, "train/loss": 3.0,
}  # fmt: skip


def write(folder: Path, *events: object) -> None:
    folder.mkdir()
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    (folder / "tracker_metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_a_record_of_config_and_summary(tmp_path: Path):
    for name, status in (("isoflop-1e+18-N1e+08-a", "SUCCESS"), ("isoflop-3e+18-b", "FAILED")):
        config = {"trainer": {"train_batch_size": 64}, "optimizer": {"learning_rate": 0.003}}
        write(tmp_path / name, {"config": config, "summary": SUMMARY})
        (tmp_path / name / ".executor_status").write_text(status)
    found = importers.load("marin", tmp_path)
    first = found.runs.iloc[0]
    assert found.runs["status"].tolist() == ["SUCCESS", "FAILED"]
    assert first["run_id"] == "isoflop-1e+18-N1e+08-a"
    assert (first["params_total"], first["tokens"], first["flops_model"]) == (1e8, 2e9, 1.4e18)
    assert (first["loss"], first["bits_per_byte"], first["learning_rate"]) == (3.2, 1.1, 0.003)


def test_a_line_for_each_event(tmp_path: Path):
    head = {"tracker": "json_logger", "event": "hparams", "hparams": {"seed": 7}}
    steps = [
        {"tracker": "json_logger", "event": "log", "step": step, "metrics":
         {"train/loss": 4.0 - step, "throughput/total_gflops": 10.0 * step}} for step in (1, 2)
    ]  # fmt: skip
    end = {"tracker": "json_logger", "event": "summary", "metrics": {"parameter_count": 5}}
    write(tmp_path / "run", head, f"I0101 job: {json.dumps(steps[0])}", steps[1], end)
    found = importers.load("marin", tmp_path / "run" / "tracker_metrics.jsonl")
    (run,) = found.runs.to_dict("records")
    assert (run["seed"], run["params_total"], run["loss"]) == (7, 5, 2.0)
    assert found.histories["flops_model"].tolist() == [1e10, 2e10]


def test_a_torn_line_is_named(tmp_path: Path):
    write(tmp_path / "run", '{"config": ')
    with pytest.raises(UserError, match="line 1: damaged, or not as its tracker"):
        importers.load("marin", tmp_path)
