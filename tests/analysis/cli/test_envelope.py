"""Approach 1 on curves of a known law, and on the records of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_study

from analysis.__main__ import main
from scaling import laws

TRUTH = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
A = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])


def exponent(said: str, symbol: str) -> float:
    return float(said.split(f"{symbol} = ")[1].split("C^")[1].split()[0])


def test_curves_of_a_known_law(tmp_path: Path, capsys):
    parts = []
    for at, size in enumerate(np.geomspace(1e7, 1e10, 60)):
        tokens = np.geomspace(2, 200, 60) * size
        loss = laws.chinchilla.predict(TRUTH, params=size, tokens=tokens)
        parts.append(pd.DataFrame({"name": f"run {at}", "n": size, "d": tokens, "l": loss}))
    table = pd.concat(parts)
    file = tmp_path / "curves.csv"
    table.assign(c=6 * table["n"] * table["d"]).to_csv(file, index=False)
    columns = ["--run-column", "name", "--params", "n", "--tokens", "d", "--loss", "l"]
    asked = ["--flops", "c", "--budgets", "600", "--at", "1e24", "--plot", str(tmp_path / "plot")]
    assert main(["envelope", str(file), *columns, *asked]) == 0
    said = capsys.readouterr().out
    assert exponent(said, "N*") == pytest.approx(A, abs=0.01)
    assert exponent(said, "D*") == pytest.approx(1 - A, abs=0.01)
    assert (tmp_path / "plot.png").exists()


def test_records_give_their_training_losses(tmp_path: Path, capsys):
    folder = str(write_study(tmp_path / "study"))
    assert main(["envelope", folder, "--at", "1e12"]) == 0
    said = capsys.readouterr().out
    size, data = (float(said.split(f"{name}* ")[2].split(",")[0].split()[0]) for name in "ND")
    assert 6 * size * data == pytest.approx(1e12, rel=1e-3)
    assert "budgets have their best size between two others" in said and "left out" in said
    assert main(["envelope", folder, "--run-column", "runs"]) == 2
    assert "no column 'runs'" in capsys.readouterr().err
