"""A study trained by a call leaves the records of `windtunnel run`, and says how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest
import records
import tiny

from experiments import run
from experiments.record import Status, run_status
from scaling.common.errors import UserError


def test_a_call_trains_what_the_command_trains(
    swept, texts: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(cache))
    bound, _ = swept
    study = tiny.study(texts, rates=(1e-3, 1e30, 4e-3))
    folder = run(study, out=tmp_path / "mine", workers=1)
    assert f"tiny: 2 completed, 1 diverged, in {folder}" in capsys.readouterr().out
    for each in bound.study.part("fit"):
        mine, theirs = folder / each.run_id, bound.folder / each.run_id
        assert run_status(mine) is run_status(theirs) is not Status.MISSING
        assert records.rows(mine) == records.rows(theirs)
    assert run(study, out=folder, workers=1) == folder  # nothing is left to train


def test_held_out_runs_need_a_prediction(
    texts: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(cache))
    with pytest.raises(UserError, match="windtunnel predict"):
        run(tiny.study(texts), out=tmp_path, part="held_out")
