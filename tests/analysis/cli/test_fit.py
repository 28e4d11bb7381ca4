"""Constants, intervals, held-out rows and card of `analysis fit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anybody import COLUMNS, TRUTH, write_table

from analysis import fit
from analysis.__main__ import main
from analysis.fitting.types import Prediction
from scaling import laws


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return write_table(tmp_path)


def test_fit_prints_constants_intervals_held_out_rows_and_card(csv, capsys):
    options = ["--bootstrap", "50", "--holdout", "c>1e20"]
    assert main(["fit", csv, *COLUMNS, *options]) == 0
    said = capsys.readouterr().out
    for expected in ("alpha = 0.3", "rows held out: mean |error|", "A  Hypothesis", "D  Fitting"):
        assert expected in said


def test_json_holds_the_held_out_rows_and_the_points_asked_for(csv, capsys):
    asked = ["--holdout", "c>1e20", "--bootstrap", "50", "--at", "params=1B,tokens=2e10", "--json"]
    assert main(["fit", csv, *COLUMNS, *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    (point,) = found["at"]
    true = laws.chinchilla.predict(TRUTH, params=1e9, tokens=2e10)
    assert point["nats"]["low"] < true < point["nats"]["high"]
    assert point["nats"]["value"] == pytest.approx(true, rel=0.01)
    rows = found["held_out"]["rows"]
    assert {each["row"] for each in rows}.isdisjoint(found["fitted_on"])
    assert len(rows) + found["points"] == 40
    for each in rows:
        assert each["low"] < each["predicted"] < each["high"]
        error = each["measured"] / each["predicted"] - 1
        assert each["relative_error"] == pytest.approx(error, rel=1e-9)


def test_commands_give_the_interval_of_predict_and_say_what_it_holds(csv, capsys):
    """`fit --at`, `plan`, held-out rows and `compare`, against `fit(...).predict`."""

    def answer(*asked: str) -> dict:
        assert main([asked[0], csv, *COLUMNS, "--bootstrap", "50", *asked[1:], "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    def same(said: dict, low: str, high: str, wanted: Prediction) -> bool:
        ends = [said[low], said[high]]
        return ends == pytest.approx([float(wanted.low), float(wanted.high)], rel=1e-9)

    columns = {"loss": "nats", "params": "n", "tokens": "d", "bootstrap": 50}
    result = fit("chinchilla", csv, **columns)
    far = result.predict(params=1e10, tokens=2e11)
    found = answer("fit", "--at", "params=1e10,tokens=2e11")
    assert same(found["at"][0]["nats"], "low", "high", far)
    assert f"intervals of a new run: {far.contains}" in found["notes"]
    assert any("brackets" in note and "constants alone" in note for note in found["notes"])
    best = result.optimal(1e22)
    found = answer("plan", "--flops", "1e22")
    assert same(found["plans"][0]["loss"], "low", "high", best.prediction)
    assert any(note.endswith(f"of the loss: {best.prediction.contains}") for note in found["notes"])
    held = fit("chinchilla", csv, holdout="c>1e20", **columns).held_out
    found = answer("fit", "--holdout", "c>1e20")["held_out"]
    assert [each["low"] for each in found["rows"]] == pytest.approx(held.low.tolist(), rel=1e-9)
    assert found["prediction"]["contains"] == held.prediction.contains
    laws = ("--law", "chinchilla", "--law", "chinchilla,beta=alpha")
    found = answer("compare", "--holdout", "c>1e20", *laws)
    (row,) = (each for each in found["laws"] if each["law"] == "chinchilla")
    assert row["inside_percent"] == 100 * held.coverage
    assert row["score_percent"] == pytest.approx(100 * held.interval_score, rel=1e-9)
    said = f"inside, score: intervals of a new run by chinchilla: {held.prediction.contains}"
    assert said in found["notes"]


def test_residuals_of_a_table_are_drawn(csv, tmp_path, capsys):
    asked = ["--holdout", "c>1e20", "--plot", str(tmp_path / "rows.png")]
    assert main(["fit", csv, *COLUMNS, *asked]) == 0
    assert (tmp_path / "rows.png").stat().st_size > 10_000
    assert (tmp_path / "rows.svg").exists()
    assert f"wrote {tmp_path / 'rows'}.png" in capsys.readouterr().out


def test_fit_holds_and_ties_parameters(csv, capsys):
    assert main(["fit", csv, *COLUMNS, "--fix", "E=1.8", "--fix", "beta=alpha", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"]["E"] == 1.8 and found["relations"] == ["E = 1.8", "beta = alpha"]
    assert found["params"]["beta"] == found["params"]["alpha"]


def test_rows_are_chosen_before_the_fit(csv, capsys):
    assert main(["fit", csv, *COLUMNS, "--where", "c<1e20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 10 < found["points"] < 40
    assert main(["fit", csv, *COLUMNS, "--where", "c<1"]) == 2
    assert "none of the 40 rows is left" in capsys.readouterr().err


def test_a_path_that_is_nothing(capsys):
    assert main(["fit", "nowhere"]) == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err
    for path, said in {"": "'': an empty path", "s3://": "names no bucket, host or file"}.items():
        assert main(["fit", path]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--params", "N"], "no column 'N'"),
        (["--objective", "log_hubber"], "did you mean 'log_huber'"),
        (["--fix", "E=nan"], "--fix E=nan: must be a finite number"),
        (["--delta", "inf"], "--delta inf: must be a finite number"),
        (["--at", "params=-1,tokens=1B"], "--at params=-1: must lie above 0"),
        (["--at", "params=7B"], "--at params=7B: give params and tokens, such as"),
        (["--column", "x"], "--column x: write name=value"),
        (["--fix", "gamma=1"], "no parameter 'gamma'"),
        (["--bootstrap", "1e2x"], "--bootstrap '1e2x' is not a number; write it as"),
        (["--params", "1B"], "no column '1B': known: c, d, n, nats"),
        (["--objective", "log_quantile"], "objective 'log_quantile': "),
        (["--delta", "wide"], "delta='wide': give a positive number or 'mad'"),
        (["--resampling", "pears"], "did you mean 'pairs'"),
    ],
)
def test_mistake_is_one_line_and_status_2(arguments, said, csv, capsys):
    assert main(["fit", csv, *COLUMNS, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert said in printed.err
