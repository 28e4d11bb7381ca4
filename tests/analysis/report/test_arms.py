"""Labels are arms: a fit and a forecast for each, and the gain between them; never one fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import Plan, train_held_out, write_study

from analysis.__main__ import main
from analysis.inference import forecast
from analysis.inference.forecast import assess
from analysis.report import arms
from analysis.tables.study import load_study

PLAN = Plan(noise=0.002, labels={"adamw": 1.0, "muon": 1.5})
GAIN = 1 / 1.5**2  # muon needs this share of adamw's compute


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "BOOTSTRAP", 60)
        folder = write_study(tmp_path_factory.mktemp("arms") / "study", PLAN)
        assert main(["predict", str(folder)]) == 0
        train_held_out(folder, PLAN)
        assert main(["report", str(folder)]) == 0
    return folder


def test_each_label_has_its_fit_and_its_forecast(folder: Path):
    told = json.loads((folder / "fit.json").read_text())["labels"]
    study = load_study(folder)
    assert list(told) == list(study.labels) == ["adamw", "muon"]
    for label, found in told.items():
        assert set(found["fitted_on"]) == set(study.of(label).fit_runs["run_id"])
        assert found["rms_log_residual"] < 0.004  # of runs taken as one: ten times this
    prediction = json.loads((folder / "prediction.json").read_text())
    assert set(prediction["fitted_on"]) == set(study.fit_runs["run_id"])
    losses = dict(zip(study.held_out["run_id"], study.held_out["loss_per_byte"], strict=True))
    assert len(prediction["forecasts"]) == 2
    for each in prediction["forecasts"]:
        assert each["loss"] == pytest.approx(losses[each["run_id"]], rel=0.02)
        assert each["low"] < losses[each["run_id"]] < each["high"]


def test_the_gain_between_them_is_the_true_one(folder: Path, monkeypatch):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 60)
    told = assess(load_study(folder))
    fits, gains = arms.tables(told)
    assert [row[:2] for row in fits.rows] == [("adamw", "18"), ("muon", "18")]
    ((a, b, _, _, said),) = gains.rows
    value, low, high = (float(word.strip("[],")) for word in said.split())
    assert (a, b) == ("adamw", "muon")
    assert low < GAIN < high and value == pytest.approx(GAIN, rel=0.15)


def test_the_page_says_so(folder: Path):
    page = (folder / "report.html").read_text()
    assert "2 labels (adamw, muon): each has its own fit" in page
    assert "each label apart; predicted" in page and "-FLOP run of adamw; measured" in page
    assert "mean of" not in page, "one run of each label is no seed of the other's"
    for text in ("A fit for each label", "The gain between the labels", "The labels."):
        assert text in page
    assert page.count("muon") > 18  # a row for each of its runs


def test_one_label_is_no_comparison(tmp_path: Path):
    assert load_study(write_study(tmp_path / "study", Plan(labels={"adamw": 1.0}))).labels == ()
