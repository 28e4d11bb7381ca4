"""`windtunnel best`: the best rate of each group of rows, with its interval or why it has none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scaling.common.console import main

RATES = 0.01 * 2.0 ** np.arange(-3, 3)


@pytest.fixture
def table(tmp_path, monkeypatch) -> str:
    """Two sizes with bests at 0.008 and 0.004, three repeats; a third whose best is an edge."""
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), []
    for n, best in ((1e6, 0.008), (4e6, 0.004), (1.6e7, 0.0001)):
        for rate in np.tile(RATES, 3):
            loss = 3 + 0.02 * np.log2(rate / best) ** 2 + rng.normal(0, 0.001)
            rows.append({"n": n, "lr": rate, "loss": loss})
    pd.DataFrame(rows).to_csv("runs.csv", index=False)
    return "runs.csv"


def test_each_size_has_its_best_rate_with_an_interval(table: str, capsys):
    assert main(["best", table, "--setting", "lr", "--by", "n", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    one, four, edge = found["best"]
    for row, true in ((one, 0.008), (four, 0.004)):
        assert row["best"]["low"] < true < row["best"]["high"] < 1.2 * true
        assert row["best"]["value"] == pytest.approx(true, rel=0.05)
    assert edge["minimum"] == "at or below the low edge of the grid"
    assert any("try lower values" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the column that was swept"),
        (["--setting", "l"], "no column 'l'"),
        (["--setting", "lr", "--by", "width"], "no column 'width'"),
    ],
)
def test_a_mistake_is_one_line(table: str, words: list[str], said: str, capsys):
    assert main(["best", table, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_as_that(tmp_path, capsys):
    assert main(["best", str(tmp_path / "nowhere")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
