"""Exponents and minima of IsoFLOP profiles: a known law, a study, and the published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import needs_tables
from synthetic import Plan, write_study

from analysis.__main__ import main
from scaling import laws

TRUTH = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
AUTHORS = ("--curve", "parabola", "--window", "all", "--edge", "run")
A = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])


def exponent(said: str, symbol: str) -> list[float]:
    """Value, low and high of the exponent of N* or D*."""
    power = next(line for line in said.splitlines() if line.startswith(f"{symbol} = "))
    return [float(word.strip("[],")) for word in power.split("C^")[1].split()]


def test_centred_profiles_of_a_known_law(tmp_path: Path, capsys):
    parts = []
    for flops in np.geomspace(1e18, 1e21, 5):
        size = float(laws.chinchilla.optimal(TRUTH, flops)[0]) * np.exp(np.linspace(-1, 1, 7))
        loss = laws.chinchilla.predict(TRUTH, params=size, tokens=flops / 6 / size)
        parts.append(pd.DataFrame({"n": size, "d": flops / 6 / size, "c": flops, "l": loss}))
    file = tmp_path / "profiles.csv"
    pd.concat(parts).to_csv(file, index=False)
    columns = ["--params", "n", "--tokens", "d", "--flops", "c", "--loss", "l"]
    asked = ["--bootstrap", "0", "--at", "1e24"]
    assert main(["isoflop", str(file), *columns, *asked]) == 0
    said = capsys.readouterr().out
    assert exponent(said, "N*") == [pytest.approx(A, abs=1e-4)]
    assert exponent(said, "D*") == [pytest.approx(1 - A, abs=1e-4)]
    best = laws.chinchilla.optimal(TRUTH, 1e24)[0]
    assert float(said.split("at C = 1e+24: N* ")[1].split(",")[0]) == pytest.approx(best, rel=0.02)


def test_a_study_folder(tmp_path: Path, capsys):
    """The synthetic study: b / (a + b) = 0.29 / 0.65, inside the interval; held-out rows are not
    read."""
    folder = write_study(tmp_path / "study", Plan(isoflop="yes", noise=0.001))
    assert main(["isoflop", str(folder)]) == 0
    said = capsys.readouterr().out
    _, low, high = exponent(said, "N*")
    assert low < 0.29 / 0.65 < high and high - low < 0.1
    assert "held out: not fitted" in said


@needs_tables("isoflop_collection/tidy.csv")
def test_published_profiles_of_llama_3(capsys):
    rows = "experiment==llama_3__exp_loss and outlier==False"
    asked = ["--where", rows, "--budget", "flops_budget"]
    assert main(["isoflop", "isoflop_collection", *asked]) == 0
    said = capsys.readouterr().out
    _, low, high = exponent(said, "D*")
    assert low < 0.5047 < high and low < 0.53 < high  # parabolas, and the paper
    assert "times their errors about the power law: its intervals are widened" in said
    assert main(["isoflop", "isoflop_collection", *asked, *AUTHORS, "--bootstrap", "0"]) == 0
    assert exponent(capsys.readouterr().out, "D*") == [pytest.approx(0.5047, abs=1e-4)]


def test_mistakes_are_one_line(tmp_path: Path, capsys):
    folder = str(write_study(tmp_path / "study", Plan(isoflop="yes")))
    assert main(["isoflop", folder, "--curve", "parabol"]) == 2
    assert "did you mean 'parabola'" in capsys.readouterr().err
    assert main(["isoflop", folder, "--window", "few"]) == 2
    assert "few: a number of sizes, 'noise' or 'all'" in capsys.readouterr().err
    assert main(["isoflop", folder, "--budget", "budgets"]) == 2
    assert "no column 'budgets'" in capsys.readouterr().err
