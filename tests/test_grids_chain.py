"""The study of learning rate and batch on real text: train, predict, train the cell, report."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import tiny_grids
from commands import command

from analysis.hyperparameters import load_law
from analysis.hyperparameters.law_file import LAW
from experiments import record
from experiments.plan.law_settings import find, follow
from experiments.record import PredictionRecord, RunSummary, StudyPart, StudyPlan

pytestmark = pytest.mark.slow  # a minute; its parts have tests of their own

STUDY = str(Path(tiny_grids.__file__))
RATE = "optimizer.learning_rate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder after its four commands."""
    out = str(tmp_path_factory.mktemp("grids") / "tiny")
    # one worker, for two would compile each program twice
    alone = ("--workers", "1", "--set", "execution.runs_per_program=1")
    train = ("experiments", "run", STUDY, "--out", out, *alone)
    for step in (
        train,
        ("analysis", "predict", out),
        (*train, "--part", "held_out"),
        ("analysis", "report", out),
    ):
        done = command(*step)
        assert done.returncode == 0, done.stderr
    (Path(out) / "last_line.txt").write_text(done.stdout.strip().splitlines()[-1])
    return Path(out)


def test_the_bowls_have_their_bottom_within_the_grids(folder: Path) -> None:
    """The best of real runs: between a rate too low and one too high, and so for the batch."""
    _, tokens = tiny_grids.TINY.held_out
    first = next(iter(record.read(folder, PredictionRecord).quantities.values()))
    assert 2.0**-9 < first["lr"] < 2.0**-3
    assert 4 < first["batch_tokens"] < 64
    law = load_law(folder / LAW).law
    assert law.rules["batch_tokens"].at({"tokens": tokens}) == pytest.approx(first["batch_tokens"])


def test_the_report_says_what_following_the_law_costs(folder: Path) -> None:
    line = (folder / "last_line.txt").read_text()
    assert re.search(r"lr = .* N\^.* D\^.*; batch = .* D\^.*% above the best run there", line)
    assert (folder / "figures" / "bowls.png").exists()


def test_the_held_out_cell_was_trained_after_the_advice(folder: Path) -> None:
    digest = hashlib.sha256((folder / "prediction.json").read_bytes()).hexdigest()
    plan = record.read(folder, StudyPlan)
    held_out = [run.run_id for run in plan.runs if run.part is StudyPart.HELD_OUT]
    assert len(held_out) == 2
    for run_id in held_out:
        assert record.read(folder / run_id, RunSummary).prediction_sha256 == digest


def test_a_run_follows_the_law_that_was_fitted(folder: Path) -> None:
    config = next(run for run in tiny_grids.study().runs if run.part == "held_out").config
    found, (given,) = follow(config, {RATE: find(RATE, str(folder / LAW))})
    prediction = next(iter(record.read(folder, PredictionRecord).quantities.values()))
    assert found.science.optimizer.learning_rate == pytest.approx(prediction["lr"], rel=1e-3)
    assert "times outside" in " ".join(given.warnings)
