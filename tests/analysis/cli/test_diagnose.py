"""Diagnostics of a fit to rows of a known law, one of them spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.__main__ import main

TRUTH = {"A": 400.0, "alpha": 0.3}


def write(tmp_path: Path, spoilt: float) -> str:
    rng = np.random.default_rng(0)
    x = np.geomspace(1e6, 1e9, 24)
    loss = TRUTH["A"] * x ** -TRUTH["alpha"] * np.exp(rng.normal(0, 0.01, 24))
    loss[-1] *= spoilt
    pd.DataFrame({"flops_6nd": x, "loss": loss}).to_csv(tmp_path / "runs.csv", index=False)
    return str(tmp_path / "runs.csv")


def parts(said: str, name: str) -> list[float]:
    """The numbers of the line that begins with a name."""
    line = next(line for line in said.splitlines() if line.startswith(name))
    return [float(word.strip("[],")) for word in line.removeprefix(name).split() if word != "-"]


def test_profile_condition_and_influence(tmp_path: Path, capsys):
    asked = ["--law", "power_law_no_offset", "--objective", "log_squared", "--drop", "2"]
    plot = ["--plot", str(tmp_path / "influence")]
    assert main(["diagnose", write(tmp_path, 1.1), *asked, *plot]) == 0
    said = capsys.readouterr().out
    value, low, high = parts(said, "alpha")
    assert low < value < high and high - low < 0.02
    # a line through logs: with columns of unit length, cos = mean x / rms x
    x = np.log(np.geomspace(1e6, 1e9, 24))
    cos = x.mean() / np.sqrt((x**2).mean())
    found = float(said.split("condition number ")[1].split(";")[0])
    assert abs(found / np.sqrt((1 + cos) / (1 - cos)) - 1) < 0.01
    first = said.split("without the row")[1].splitlines()[1]
    assert first.startswith("line 25")
    assert [line.split()[0] for line in said.splitlines()[-4:-1]] == ["0", "1", "2"]
    assert (tmp_path / "influence.png").exists()


def test_sound_rows_have_no_row_that_decides(tmp_path: Path, capsys):
    asked = ["--law", "power_law_no_offset", "--objective", "log_squared"]
    assert main(["diagnose", write(tmp_path, 1.0), *asked]) == 0
    said = capsys.readouterr().out
    worst = said.split("without the row")[1].splitlines()[1].split()[2:]
    assert max(abs(float(share)) for share in worst) < 0.7
    assert "no second minimum found" in said


def test_a_mistake_is_one_line(tmp_path: Path, capsys):
    assert main(["diagnose", write(tmp_path, 1.0), "--law", "power_law_no_ofset"]) == 2
    assert "did you mean 'power_law_no_offset'" in capsys.readouterr().err
