"""The compute gain between two families whose gain is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
LESS, FEWER = 1.25, 1.6  # B is A with fewer effective parameters and tokens: gain 1.25 x 1.6 = 2


@pytest.fixture
def csv(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    parts = []
    for family, (less, fewer) in {"ours": (1, 1), "theirs": (LESS, FEWER)}.items():
        size, data = 10 ** rng.uniform(7, 9.5, 40), 10 ** rng.uniform(9, 11, 40)
        loss = laws.chinchilla.predict(TRUTH, params=size / less, tokens=data / fewer)
        loss = loss * np.exp(rng.normal(0, 0.001, 40))
        parts.append(
            pd.DataFrame({"params_total": size, "tokens": data, "loss": loss, "family": family})
        )
    pd.concat(parts).to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


FAMILIES = ["--a", "family==ours", "--b", "family==theirs"]


def test_the_known_gain_lies_in_its_interval(csv: str, tmp_path: Path, capsys):
    asked = ["--budget", "1e20", "--bootstrap", "100", "--crossing", "1e18", "1e21"]
    plot = ["--plot", str(tmp_path / "gain")]
    assert main(["gain", csv, *FAMILIES, *asked, *plot]) == 0
    said = capsys.readouterr().out
    value, low, high = (float(each.strip("[],")) for each in said.split("1e+20")[1].split()[1:4])
    assert low < LESS * FEWER < high and value == pytest.approx(LESS * FEWER, rel=0.05)
    assert "A is better from 1e+18 to 1e+21 FLOPs" in said
    assert (tmp_path / "gain.png").exists()


def test_the_gain_at_equal_hours_is_that_of_the_time_spent(csv: str, tmp_path: Path, capsys):
    """B is twice as slow for each parameter and token: its gain of 2 in compute is 4 in time."""
    table = pd.read_csv(csv)
    slow = 1e-12 * np.where(table["family"] == "ours", 1, 2)
    table["hours"] = slow * 6 * table["params_total"] * table["tokens"]
    table.to_csv(tmp_path / "timed.csv", index=False)
    asked = ["--spent", "hours", "--budget", "1e8"]
    assert main(["gain", str(tmp_path / "timed.csv"), *FAMILIES, *asked]) == 0
    found = float(capsys.readouterr().out.split("1e+08")[1].split()[1])
    assert found == pytest.approx(2 * LESS * FEWER, rel=0.05)
    asked = ["--spent", "hours", "--crossing", "1e6", "1e9"]
    assert main(["gain", str(tmp_path / "timed.csv"), *FAMILIES, *asked]) == 0
    assert "A is better from 1e+06 to 1e+09 hours" in capsys.readouterr().out


def test_two_paths_are_two_families(csv: str, capsys):
    """A table against itself: the gain is 1."""
    assert main(["gain", csv, csv, "--where", "family==ours", "--at-loss", "2.5"]) == 0
    assert " 1  " in capsys.readouterr().out.split("gain")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*FAMILIES], "give --budget C, --at-loss L or --crossing"),
        (["--budget", "1e20"], "give a second path, or --a ROWS and --b ROWS"),
        (["--a", "family==our", "--b", "family==theirs", "--budget", "1"], "did you mean 'ours'"),
        ([*FAMILIES, "--at-loss", "1.0"], "never reaches a loss of 1"),
        ([*FAMILIES, "--budget", "1", "--spent", "family"], "family: the column holds no positive"),
        ([*FAMILIES, "--budget", "1", "--spent", "loss "], "--spent loss : did you mean 'loss'"),
    ],
)
def test_mistakes_are_one_line(csv: str, arguments: list[str], said: str, capsys):
    assert main(["gain", csv, *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1


def test_runs_of_an_arm_against_a_pinned_law(csv: str, capsys):
    assert main(["gain", csv, *FAMILIES, "--pinned", "--bootstrap", "50"]) == 0
    said = capsys.readouterr().out
    told = next(line for line in said.splitlines() if line.startswith("speed-up "))
    _, low, high = (float(each.strip("[],;")) for each in told.split()[1:4])
    assert low < LESS * FEWER < high
    assert main(["gain", csv, *FAMILIES, "--pinned", "--budget", "1e20"]) == 2
    assert "leave out --budget" in capsys.readouterr().err
