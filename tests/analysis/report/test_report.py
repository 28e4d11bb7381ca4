"""The report at every stage of a study, and the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import records
from paths import ROOT
from synthetic import Plan, train_held_out, write_study

from analysis.__main__ import main
from analysis.fitting.fit import fit
from analysis.inference import forecast
from analysis.plotting.style import save
from analysis.report.captions import pictures
from analysis.report.evidence import gather
from analysis.report.page.render import _short, render
from analysis.report.plots import ladder
from analysis.report.predict import predict_held_out
from analysis.report.report import write_page
from analysis.tables.study import load_study
from experiments.record import METRICS, SUMMARY, PredictionRecord, StudyPlan

NAMES = {
    "held_out", "rolled_extrapolation", "loss_curves", "loss_params", "loss_tokens", "ladder",
    "frontier", "predicted_measured", "residuals",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 60)


def test_whole_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plan = Plan(statuses={3: "diverged"})
    folder = write_study(tmp_path / "study", plan)
    assert main(["predict", str(folder)]) == 0
    train_held_out(folder, plan)
    assert main(["report", str(folder)]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert re.fullmatch(
        r"fitted on 17 runs up to 2e13 FLOPs; predicted 1\.\d{3} \[1\.\d{3}, 1\.\d{3}\] nats/byte "
        r"for the 4\.7e13-FLOP run; measured 1\.\d{3} \(\d\.\d % off\), inside the interval",
        last,
    )
    assert {path.stem for path in (folder / "figures").glob("*.png")} == NAMES
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == NAMES
    page = (folder / "report.html").read_text()
    assert "no: diverged" in page and "1 of 18 planned runs" in page
    assert "was written down before the held-out run" in page
    assert "held-out validation" in page and "none in this fit" not in page
    assert not re.search(r'(?:src|href)="https?:', page)
    assert json.loads((folder / "fit.json").read_text())["points"] == 17


def test_before_the_held_out_run(tmp_path: Path):
    """And the interval is that of `predict`, to the digit."""
    folder = write_study(tmp_path / "study")
    study = load_study(folder)
    evidence = gather(study)
    assert evidence.sentence.endswith("not measured yet")
    told = fit(study.law, study.fit_runs, loss=study.loss, bootstrap=60, resampling="dirichlet")
    (at,) = evidence.forecasts
    said = told.predict(params=at.params_total, tokens=at.tokens)
    interval = f"[{said.low:.3f}, {said.high:.3f}]"
    assert f"predicted {said.value:.3f} {interval} nats/byte" in evidence.sentence
    assert interval in render(evidence, (), (), {})
    assert any("not been written down" in text for text in evidence.missing)
    assert "still to come" in render(evidence, (), (), {})


def test_a_prediction_after_the_fact_is_called_that(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    train_held_out(folder)
    evidence = gather(load_study(folder))
    assert [each.order for each in evidence.verdicts] == ["after the fact"]
    assert any("after the fact" in text for text in evidence.missing)


def test_a_prediction_changed_later_is_not_shown_to_be_first(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    predict_held_out(folder)
    train_held_out(folder)
    records.change(folder, PredictionRecord, written="later")
    evidence = gather(load_study(folder))
    assert [each.order for each in evidence.verdicts] == ["not shown"]


def test_too_few_runs_for_a_fit(tmp_path: Path):
    folder = write_study(tmp_path / "study", Plan(statuses=dict.fromkeys(range(14), "diverged")))
    evidence = write_page(load_study(folder))
    assert evidence.sentence.startswith("no fit yet: law 'chinchilla' has 5 parameters")
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {"loss_curves"}


def test_before_any_run_has_finished(tmp_path: Path):
    folder = write_study(tmp_path / "study", fit_runs="none")
    evidence = write_page(load_study(folder))
    assert evidence.sentence.startswith("no fit yet: ")
    assert (folder / "report.html").exists()


def test_a_damaged_run_is_named_and_the_others_are_shown(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    first, second, *others = sorted(path.parent.name for path in folder.glob("*/metrics.jsonl"))
    (folder / first / SUMMARY).write_text("[]")
    (folder / second / METRICS).write_text("[]\n" * 3)
    evidence = gather(load_study(folder))
    assert set(evidence.curves) == set(others)
    for run, file in ((first, SUMMARY), (second, METRICS)):
        (told,) = (text for text in evidence.missing if str(folder / run / file) in text)
        assert told.endswith("this page leaves its curve out") and "\n" not in told


def test_isoflop_study_with_two_seeds(tmp_path: Path):
    plan = Plan(isoflop="yes", held_out_seeds=2)
    folder = write_study(tmp_path / "study", plan)
    predict_held_out(folder)
    train_held_out(folder, plan)
    evidence = gather(load_study(folder))
    first, second = (each.measured for each in evidence.verdicts)
    told = f"measured {(first + second) / 2:.3f} ("
    assert told in evidence.sentence
    assert f"mean of seeds {first:.3f}, {second:.3f})" in evidence.sentence
    assert "isoflop" in {picture.name for pictured in pictures(evidence) for picture in pictured}


def test_figures_are_a_function_of_the_data(tmp_path: Path):
    study = load_study(write_study(tmp_path / "study"))
    result = forecast.assess(study).result
    once, twice = (save(ladder(study, result), tmp_path / name, "ladder") for name in "ab")
    assert once == twice
    assert b"<svg" in once


def test_text_from_a_record_is_escaped(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    records.change(folder, StudyPlan, question="<script>alert(1)</script>")
    page = render(gather(load_study(folder)), (), (), {})
    assert "<script>alert" not in page and "alert(1)" in page


def test_fit_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_study(tmp_path / "study")
    assert main(["fit", str(folder), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["law"] == "chinchilla" and value["recipe"]["loss"] == "loss_per_byte"
    assert main(["fit", str(folder), "--loss", "los_per_byte"]) == 2
    assert capsys.readouterr().err == (
        "error: the table has no column 'los_per_byte': did you mean 'loss_per_byte'?\n"
    )
    assert main(["fit", str(folder), "--law", "chinchila"]) == 2
    assert main(["report", str(tmp_path / "absent")]) == 2


def test_a_report_needs_no_jax(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    code = (
        "import sys\n"
        "from analysis.__main__ import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert 'jax' not in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "fit", str(folder), "--bootstrap", "20"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


def test_a_setting_is_printed_as_it_is_typed():
    typed = {"1e+10,3e+10": [1e10, 3e10], "0.1": 0.1, "1,2": (1, 2), "gpu": "gpu", "[]": []}
    assert [_short(value) for value in typed.values()] == list(typed)
    assert float(_short(0.1234567891)) == 0.1234567891
    assert _short(["addition", "khop"]) == "addition,khop"
