"""The commands of docs/your-table.md, in a folder with a tracker's export and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import messy
import pytest
from paths import ROOT

from scaling.common.console import main

PAGE = (ROOT / "docs" / "your-table.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line)[1:] for line in re.findall(r"^ {4}(windtunnel .*)$", PAGE, re.M)]
COMMANDS = {command: rest for command, *rest in TYPED}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    messy.write(tmp_path / "export.csv")
    return tmp_path


def answer(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([command, *COMMANDS[command], "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_first_command_gives_constants_intervals_and_a_figure(folder: Path, capsys):
    assert list(COMMANDS)[:2] == ["fit", "plan"]
    found = answer("fit", capsys)
    assert found["status"] == "converged" and found["points"] == 30
    for name, true in messy.TRUTH.items():
        low, high = found["intervals"][name]
        assert low < true < high
    assert found["params"]["alpha"] == pytest.approx(messy.TRUTH["alpha"], abs=0.02)
    assert found["params"]["beta"] == pytest.approx(messy.TRUTH["beta"], abs=0.02)
    assert (folder / "fit.png").stat().st_size > 10_000
    said = "\n".join(found["warnings"])
    for text in (
        "2 runs crashed", "1 run running", "1 run without an eval/loss", "by its name",
        "30 rows look like checkpoints of 26 runs (column 'ID')",
    ):  # fmt: skip
        assert text in said
    (last,) = re.findall(r"`(--where '[^']*==last of \w+')`", PAGE)
    assert f"{last} takes the last" in said


def test_the_second_gives_the_plan_with_intervals_and_a_figure(folder: Path, capsys):
    (plan,) = answer("plan", capsys)["plans"]
    truth = messy.best(1e22)
    for name, true in zip(("N_star_parameters", "D_star_tokens"), truth, strict=True):
        assert plan[name]["low"] < true < plan[name]["high"]
        assert plan[name]["value"] == pytest.approx(true, rel=0.15)
    assert (folder / "plan.png").stat().st_size > 10_000


def test_the_import_of_the_page_leads_to_the_same_fit(capsys):
    answer("import", capsys)
    assert main(["fit", "runs.csv", "--json"]) == 0
    imported = json.loads(capsys.readouterr().out)
    assert main(["fit", "export.csv", "--json"]) == 0
    assert imported["params"] == json.loads(capsys.readouterr().out)["params"]


@pytest.mark.slow
def test_the_report_of_the_page(folder: Path, capsys):
    assert "tables" in answer("report", capsys) or (folder / "export_report").exists()
    page = (folder / "export_report" / "report.html").read_text()
    assert "no: crashed" in page and "no: running" in page


@pytest.mark.slow
def test_the_notebook_of_the_page():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    made: dict[str, Any] = {}
    exec(code, made)
    assert made["result"].has_intervals
