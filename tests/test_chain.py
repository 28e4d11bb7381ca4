"""The whole chain of commands on real text: train, predict, train the held-out run, report."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from commands import command
from paths import SUPPORT

from experiments import record
from experiments.record import RunSummary, StudyPart, StudyPlan

STUDY = str(SUPPORT / "tiny_ladder.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study folder after the four commands of `make study`."""
    out = tmp_path_factory.mktemp("chain") / "tiny"
    refused = command("experiments", "run", STUDY, "--part", "held_out", "--out", str(out))
    assert refused.returncode == 2
    assert "windtunnel predict" in refused.stderr
    for step in (
        ("experiments", "run", STUDY, "--out", str(out)),
        ("analysis", "predict", str(out)),
        ("experiments", "run", STUDY, "--part", "held_out", "--out", str(out)),
        ("analysis", "report", str(out)),
    ):
        done = command(*step)
        assert done.returncode == 0, done.stderr
    (out / "last_line.txt").write_text(done.stdout.strip().splitlines()[-1])
    return out


def test_the_last_line_puts_the_prediction_beside_the_measurement(folder: Path) -> None:
    line = (folder / "last_line.txt").read_text()
    assert re.search(r"fitted on 9 runs up to \S+ FLOPs; predicted \d\.\d+ \[", line)
    assert re.search(r"measured \d\.\d+ \(", line)


def test_the_held_out_record_carries_the_digest_of_the_prediction(folder: Path) -> None:
    prediction = folder / "prediction.json"
    plan = record.read(folder, StudyPlan)
    (held_out,) = (run.run_id for run in plan.runs if run.part is StudyPart.HELD_OUT)
    summary = record.read(folder / held_out, RunSummary)
    assert summary.prediction_sha256 == hashlib.sha256(prediction.read_bytes()).hexdigest()


def test_the_folder_holds_all_that_was_promised(folder: Path) -> None:
    assert (folder / "report.html").stat().st_size > 50_000
    assert json.loads((folder / "fit.json").read_text())["law"] == "chinchilla"
    names = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert len(names) >= 7
    assert names == {path.stem for path in (folder / "figures").glob("*.png")}
    assert sum(1 for _ in folder.glob("*/summary.json")) == 10


def test_a_second_round_trains_nothing_and_keeps_the_prediction(folder: Path) -> None:
    files = [*folder.glob("*/summary.json"), folder / "prediction.json"]
    before = {path: path.read_bytes() for path in files}
    assert command("experiments", "run", STUDY, "--out", str(folder)).returncode == 0
    assert command("analysis", "predict", str(folder)).returncode == 0
    assert {path: path.read_bytes() for path in files} == before
