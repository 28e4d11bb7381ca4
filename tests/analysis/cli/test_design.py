"""From a design to a file of runs to their simulation; mistakes are one line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main

ASKED = [
    "--target", "params=1e9,tokens=2e10", "--sizes", "3e7,6e7,1.2e8,2.4e8,4.8e8",
    "--truth", "chinchilla:besiroglu2024", "--studies", "2", "--bootstrap", "20",
]  # fmt: skip


def test_a_designed_ladder_is_written_and_simulated(tmp_path: Path, capsys):
    file = tmp_path / "ladder.csv"
    budget = ["--budget", "3", "--unit", "money", "--flops-per-unit", "1e19", "--to", str(file)]
    assert main(["design", *ASKED, *budget, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    table = pd.read_csv(file)
    assert len(table) == said["runs"]
    assert (6 * table.params_total * table.tokens).sum() <= 3.0001e19
    assert said["ladder"][-1]["spent"] == pytest.approx(said["cost"])
    assert {row["ladder"] for row in said["compared"]} == {"designed", "geometric"}
    again = ["simulate", str(file), "--at", "params=1e9,tokens=2e10", *ASKED[4:], "--json"]
    assert main(again) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["truth"] for row in shown["outcomes"]] == [
        "true", "bent", "broken", "growing noise",
    ]  # fmt: skip
    assert shown["reach"] > 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "1e21"], "train the target"),
        (["--budget", "3", "--unit", "hours"], "give --flops-per-unit"),
        (["--budget", "3e19", "--flops-per-unit", "2"], "in FLOPs already"),
        (["--budget", "3e19", "--noise", "0"], "must lie above 0"),
        (["--budget", "3e19", "--ratios", "50,8"], "--ratios: give the lowest"),
        (["--budget", "3e19", "--sizes", "2e9,3e9"], "lies above the target"),
        (["--budget", "3e19", "--largest", "1e15"], "raise --largest"),
        (["--budget", "3e19", "--law", "power_law"], "of params and tokens"),
    ],
)
def test_mistake_is_one_line(arguments, said, capsys):
    assert main(["design", *ASKED, *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.splitlines()[-1].startswith("error: ") and said in printed


def test_a_study_without_a_target_asks_for_one(tmp_path: Path, capsys):
    pd.DataFrame({"n": [1e7] * 8, "d": [1e9] * 8}).to_csv(tmp_path / "t.csv", index=False)
    columns = ["--params", "n", "--tokens", "d"]
    assert main(["simulate", str(tmp_path / "t.csv"), *columns]) == 2
    assert "give --at params=N,tokens=D" in capsys.readouterr().err
    assert main(["simulate", "quickstart_that_is_not_there"]) == 2
    assert "--dry-run --plan" in capsys.readouterr().err
