"""The commands of docs/rate.md, in a folder with texts and nothing else."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny
from paths import ROOT
from synthetic import Plan, write_study

from experiments import studies
from scaling.common import plugins
from scaling.common.console import main

PAGE = (ROOT / "docs" / "rate.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line)[1:] for line in re.findall(r"^ {4}(windtunnel .*)$", PAGE, re.M)]
NEW, SHOWN, TRAINED, STATUS, BEST, REPORT, RUN, ARMS, PINNED, REPORT_ARMS, MUON, ADAMW, GAIN = TYPED
RATES = "rates=0.02,0.03,0.04,0.06,0.08,0.12,0.16"  # of 128 steps
TINY = ["--set", "widths=16", "--set", "tokens=8192"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    tiny.write_texts(tmp_path / "texts")
    return tmp_path


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def begun(capsys, monkeypatch) -> None:
    assert main(NEW) == 0
    assert f"export {plugins.VARIABLE}=$PWD/plugins" in PAGE
    monkeypatch.setenv(plugins.VARIABLE, str(Path.cwd() / "plugins"))
    capsys.readouterr()


def test_the_sweep_is_shown_before_it_is_trained(folder: Path, capsys, monkeypatch):
    begun(capsys, monkeypatch)
    assert [*TRAINED, "--dry-run"] == SHOWN
    assert len(answer([*SHOWN, *TINY], capsys)["runs"]) == 8
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_the_sweep_gives_the_best_rate_with_its_interval_and_a_report(
    folder: Path, capsys, monkeypatch
):
    begun(capsys, monkeypatch)
    few = [RATES if word.startswith("rates=") else word for word in TRAINED]
    assert main([*few, *TINY, "--workers", "1"]) == 0
    capsys.readouterr()
    statuses = {row["status"] for row in answer(STATUS, capsys)["runs"]}
    assert statuses == {"done"}
    (found,) = answer(BEST, capsys)["best"]
    rate = found["best"]
    assert 0.02 < rate["low"] < rate["value"] < rate["high"] < 0.2
    assert main(REPORT) == 0
    page = (folder / "runs" / "rates" / "report.html").read_text()
    assert f"{rate['value']:.3g} [{rate['low']:.3g}, {rate['high']:.3g}]" in page


def test_two_optimizers_are_compared_with_an_interval(folder: Path, capsys):
    """Records of a known gain stand for the trained ladders."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    Path(RUN[1]).write_text(code)
    arms = Counter(run.label for run in studies.load(RUN[1]).runs)
    assert arms == dict.fromkeys(("muon", "adamw"), 12)
    for command, name, *settings, _, _ in (MUON, ADAMW):
        assert command == "run" and studies.load(name, settings[1::2]).runs
    better = 1.3  # of both parameters and tokens
    write_study(folder / ARMS[1], Plan(labels={"muon": better, "adamw": 1.0}))
    (found,) = answer(ARMS, capsys)["gains"]
    gain = found["gain"]
    assert gain["low"] < better**2 < gain["high"]
    assert gain["low"] > 1 and math.isfinite(gain["high"])
    assert (folder / "gain.png").stat().st_size > 10_000
    pinned = answer(PINNED, capsys)["speed_up"]
    assert pinned["low"] > 1 and pinned["value"] == pytest.approx(better**2, rel=0.1)
