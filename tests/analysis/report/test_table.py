"""The report of a table: the same page as of a study, from rows of any origin."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anybody import TRUTH
from synthetic import write_study

from analysis.__main__ import main
from analysis.inference import forecast
from analysis.readings import reader
from analysis.report.lesson import _unheld
from analysis.report.table import as_study
from analysis.tables.derived import completed
from analysis.tables.query import where
from analysis.tables.study import StudyRecords
from scaling import laws
from scaling.common.errors import UserError


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(forecast, "BOOTSTRAP", 60)
    monkeypatch.chdir(tmp_path)


def rows(n: np.ndarray, d: np.ndarray, gain: float = 1.0) -> pd.DataFrame:
    noise = np.exp(np.random.default_rng(0).normal(0, 0.003, n.size))
    loss = laws.chinchilla.predict(TRUTH, params=gain * n, tokens=gain * d) * noise
    return pd.DataFrame({"n_params": n, "tokens": d, "eval/loss": loss})


def ladder(gain: float = 1.0) -> pd.DataFrame:
    """24 runs of 6 sizes."""
    n = np.repeat(np.geomspace(5e7, 1e10, 6), 4)
    return rows(n, n * np.tile(np.geomspace(5, 200, 4), 6), gain)


def study(table: pd.DataFrame, **named: str) -> StudyRecords:
    columns = {"params": None, "tokens": None}
    return as_study(table, laws.chinchilla, Path("report"), "runs.csv", columns, **named)


def test_a_table_gives_the_page_of_a_study(capsys):
    n = ladder().assign(State="finished")
    bad = n.iloc[:2].assign(State=["crashed", "running"], **{"eval/loss": 9.0, "tokens": ["", 7]})
    pd.concat([n, bad]).to_csv("runs.csv", index=False)
    assert main(["report", "runs.csv", "--holdout", "flops_6nd>5e22"]) == 0
    page = Path("runs_report", "report.html").read_text()
    said = capsys.readouterr().out
    assert "fitted on 23 runs up to" in said and "inside the interval" in said.splitlines()[-1]
    assert "no: crashed" in page and "no: running" in page and "held out" in page
    assert "1 run crashed (line 26): left out" in page.lower()
    assert "26 rows of runs.csv; loss is column eval/loss, by its name" in page
    assert "Windtunnel table" in page and "not recorded" in page
    drawn = {path.stem for path in Path("runs_report", "figures").glob("*.svg")}
    assert {"ladder", "frontier", "residuals", "held_out", "rolled_extrapolation"} <= drawn
    fitted = json.loads(Path("runs_report", "fit.json").read_text())
    assert fitted["params"]["alpha"] == pytest.approx(TRUTH["alpha"], abs=0.05)


def test_budgets_of_several_sizes_are_rungs_and_read_as_profiles():
    flops = np.repeat([1e19, 1e20, 1e21], 5)
    n = np.tile(np.geomspace(0.25, 4, 5), 3) * 0.1 * flops**0.5
    found = study(rows(n, flops / 6 / n))
    assert found.runs["rung"].tolist() == np.repeat([0, 1, 2], 5).tolist()
    finding = reader(found)(found)
    assert finding is not None and finding.tables[0].title == "How should compute be split?"


def test_each_label_has_its_own_runs():
    arms = {"adamw": 1.0, "muon": 1.5}
    both = pd.concat([ladder(gain).assign(optimizer=name) for name, gain in arms.items()])
    with pytest.raises(UserError, match="take one with --where 'optimizer==adamw'"):
        study(both)
    found = study(both, label="optimizer")
    assert found.labels == ("adamw", "muon")
    assert [len(found.of(label).fit_runs) for label in found.labels] == [24, 24]


def test_rungs_are_sizes_or_bands_of_many():
    assert study(ladder()).runs["rung"].tolist() == np.repeat(range(6), 4).tolist()
    rng = np.random.default_rng(1)
    found = study(rows(10 ** rng.uniform(7.5, 10, 30), 10 ** rng.uniform(9, 11.5, 30)))
    ordered = found.runs.sort_values("n_params")["rung"]
    assert ordered.nunique() == 6 and ordered.is_monotonic_increasing
    assert reader(found)(found) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--holdout", "tokens>1"], "--holdout 'tokens>1': takes 24 of 24 rows"),
        (["--loss", "los"], "no column 'los'"),
        (["--law", "chinchila"], "did you mean 'chinchilla'"),
    ],
)
def test_mistakes(options: list[str], message: str, capsys):
    ladder().to_csv("runs.csv", index=False)
    assert main(["report", "runs.csv", *options]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs_report").exists()


def test_a_study_names_its_own_columns(capsys):
    write_study(Path("study"))
    assert main(["report", "study", "--loss", "loss"]) == 2
    assert "a study says this itself; leave --loss" in capsys.readouterr().err


def test_the_page_names_rows_that_can_be_held_out():
    said = _unheld(study(ladder()))
    (condition,) = re.findall("--holdout '(.*?)'", said)
    held = where(completed(ladder()), condition)
    assert 0 < len(held) < 5
    assert "all have one compute" in _unheld(study(rows(np.full(8, 1e8), np.full(8, 1e9))))
