"""Predictions: written once, before the held-out run is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import records
from synthetic import TRUTH, Plan, planned, train_held_out, write_study

from analysis.inference import forecast
from analysis.report.predict import predict_held_out
from experiments.record import RunSummary, Status
from scaling import laws
from scaling.common.errors import UserError


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def test_prediction_is_written_and_near_the_truth(folder: Path):
    outcome = predict_held_out(folder)
    assert outcome.action == "written"
    (said,) = outcome.prediction.forecasts
    truth = float(laws.chinchilla.predict(TRUTH, params=443_000, tokens=443_000 * 40))
    assert said.low < truth < said.high
    assert said.loss == pytest.approx(truth, rel=0.02)
    assert said.low < said.bootstrap_low and said.bootstrap_high < said.high
    assert len(outcome.prediction.fitted_on) == 18
    fit = json.loads((folder / "fit.json").read_text())
    assert fit["status"] == "converged" and fit["rolled"]


def test_again_keeps_it_byte_for_byte(folder: Path):
    predict_held_out(folder)
    before = (folder / "prediction.json").read_bytes()
    train_held_out(folder)
    assert predict_held_out(folder).action == "kept"
    assert (folder / "prediction.json").read_bytes() == before


def test_refused_after_the_held_out_run(folder: Path):
    train_held_out(folder)
    with pytest.raises(UserError, match="trained before any prediction was written"):
        predict_held_out(folder)
    assert not (folder / "prediction.json").exists()


def test_other_runs_before_and_after_training(folder: Path):
    predict_held_out(folder)
    run = next(path.parent for path in folder.glob("*/summary.json"))
    records.change(run, RunSummary, status=Status.DIVERGED)
    assert predict_held_out(folder).action == "written"
    train_held_out(folder)
    records.change(run, RunSummary, status=Status.COMPLETED)
    with pytest.raises(UserError, match="already trained"):
        predict_held_out(folder)


def test_refused_while_the_sweep_is_unfinished(folder: Path):
    run = next(path.parent for path in folder.glob("*/summary.json"))
    shutil.rmtree(run)
    with pytest.raises(UserError, match=f"1 of 18 runs.*{run.name}.*finish the sweep"):
        predict_held_out(folder)


def test_a_diverged_held_out_run_counts_as_trained(folder: Path):
    train_held_out(folder)
    entry = planned(Plan())[-1]
    records.change(folder / entry.run_id, RunSummary, status=Status.DIVERGED)
    with pytest.raises(UserError, match="trained before any prediction"):
        predict_held_out(folder)


def test_a_folder_that_is_no_study(tmp_path: Path):
    with pytest.raises(UserError, match=r"no study\.json"):
        predict_held_out(tmp_path)
