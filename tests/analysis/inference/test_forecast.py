"""Predictions: written before the held-out run, once, with an interval wider than a bootstrap's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from synthetic import TRUTH, Plan, planned, train_held_out, write_study

from analysis.inference import forecast
from analysis.inference.forecast import (
    RolledRung,
    assess,
    extrapolation_half_width,
    predict_held_out,
    roll,
)
from analysis.tables.study import load_study
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
    (said,) = outcome.prediction["predictions"]
    truth = float(laws.chinchilla.predict(TRUTH, params=443_000, tokens=443_000 * 40))
    assert said["low"] < truth < said["high"]
    assert said["loss"] == pytest.approx(truth, rel=0.02)
    assert said["low"] < said["bootstrap_low"] and said["bootstrap_high"] < said["high"]
    assert len(outcome.prediction["fitted_on"]) == 18
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
    summary = json.loads((run / "summary.json").read_text())
    summary["status"] = "diverged"
    (run / "summary.json").write_text(json.dumps(summary))
    assert predict_held_out(folder).action == "written"
    train_held_out(folder)
    summary["status"] = "completed"
    (run / "summary.json").write_text(json.dumps(summary))
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
    file = folder / entry["run_id"] / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"status": "diverged"}))
    with pytest.raises(UserError, match="trained before any prediction"):
        predict_held_out(folder)


def test_rolling_sees_only_the_rungs_below(folder: Path):
    study = load_study(folder)
    steps = roll(study.law, study.fit_runs, "loss_per_byte", "params_total", "tokens")
    # two sizes say nothing about a third, so the roll begins at rung 3
    assert [(step.rung, step.fitted) for step in steps] == [(3, 12), (4, 15)]
    changed = study.fit_runs.copy()
    changed.loc[changed["rung"] == 4, "loss_per_byte"] *= 1.05
    again = roll(study.law, changed, "loss_per_byte", "params_total", "tokens")
    assert again[0].log_errors == pytest.approx(steps[0].log_errors)
    assert again[1].log_errors == pytest.approx(steps[1].log_errors + 0.04879, abs=1e-4)


def test_isoflop_rolls_from_the_third_budget(tmp_path: Path):
    study = load_study(write_study(tmp_path / "study", Plan(isoflop="yes")))
    assert [step.rung for step in assess(study).rolled] == [2, 3]


def test_half_width_grows_with_errors_and_with_distance(folder: Path):
    result = assess(load_study(folder)).result

    def width(error: float, step: float, target: float) -> float:
        rung = RolledRung(3, 12, ("a",), forecast.np.array([error]), step)
        return extrapolation_half_width(result, [rung], target)

    assert width(0.02, 1.0, 1.0) > 1.5 * width(0.005, 1.0, 1.0)
    assert width(0.02, 0.5, 1.0) > 1.5 * width(0.02, 1.0, 1.0)
    assert width(0.02, 2.0, 1.0) == width(0.02, 1.0, 1.0), "noise does not shrink with distance"


def test_a_folder_that_is_no_study(tmp_path: Path):
    with pytest.raises(UserError, match=r"no study\.json"):
        predict_held_out(tmp_path)
