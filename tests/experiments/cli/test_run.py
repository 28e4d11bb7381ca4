"""A dry run writes a plan alone; a place that takes no runs is told before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from experiments.__main__ import main
from experiments.data.corpora import Corpora
from experiments.record import StudyPlan, read


def test_a_dry_run_writes_the_plan_alone(texts: Path, cache: Path, tmp_path: Path, capsys):
    file, out = tmp_path / "mine.py", tmp_path / "runs"
    file.write_text(
        f"import tiny\n\n\ndef study():\n    return tiny.study({str(texts)!r}, rates=(1e-3,))\n"
    )
    asked = ["run", str(file), "--cache", str(cache), "--out", str(out)]
    assert main([*asked, "--dry-run"]) == 0
    assert not out.exists()
    assert main([*asked, "--dry-run", "--plan"]) == 0
    assert "wrote the plan" in capsys.readouterr().out
    plan = read(out, StudyPlan)
    assert [str(run.part) for run in plan.runs] == ["fit", "held_out"]
    assert plan.runs[1].accounting["tokens"] == 2 * tiny.STEPS * 64
    assert [path.name for path in out.iterdir()] == ["study.json"]
    assert main([*asked, "--plan"]) == 2
    assert "goes with --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("begin", [("run", "quickstart"), ("search", "lr_search")], ids=str)
def test_a_default_folder_that_cannot_be_made_is_told_before_the_corpus_is_read(
    begin: tuple[str, str], tmp_path: Path, monkeypatch, capsys
):
    def read(*_: object) -> None:
        raise AssertionError("a corpus is read")

    monkeypatch.setattr(Corpora, "mixture", read)
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("a file")
    assert main([*begin, "--cache", str(tmp_path / "cache")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"error: runs/{begin[1]}: runs is a file, no folder; choose another place"
