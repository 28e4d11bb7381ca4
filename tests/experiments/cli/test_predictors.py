"""The command that scores a study's runs before and after they are trained."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.cli.predictors import SCORES, _check, _correlations
from experiments.plan.deriving import derived
from scaling.common.errors import UserError


def test_scores_of_a_study_before_and_after_training(swept, study_file, tmp_path, cache, capsys):
    words = ["predictors", study_file, "--cache", str(cache), "--windows", "8", "--json"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not any(tmp_path.iterdir()) and "correlations" not in planned
    bound, _ = swept
    assert main([*words, "--out", str(bound.folder)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["gradsign"] for row in found["scores"]] == [
        row["gradsign"] for row in planned["scores"]
    ]
    ended = [row for row in found["scores"] if row["loss"] is not None]
    assert ended and all(row["first_loss"] > row["loss"] > 0 for row in ended)


def test_correlations_are_of_each_rung():
    """Of scores that order the losses within two rungs, and not over both."""
    science = SimpleNamespace(tokens=1)
    runs = [
        SimpleNamespace(rung=rung, config=SimpleNamespace(science=science))
        for rung in (0, 1)
        for _ in range(6)
    ]
    score = np.tile(np.arange(6.0), 2)
    losses = [3 - s + 10 * run.rung for s, run in zip(score, runs, strict=True)]
    rows = [(s, -s, 1.0, 1.0, 1.0, 1.0, loss) for s, loss in zip(score, losses, strict=True)]
    table, _ = _correlations(runs, rows)
    found = {}
    table.into(found)
    tau = {(row["score"], row["rung"]): row["kendall"].value for row in found["correlations"]}
    assert {name for name, _ in tau} == {*SCORES}
    assert {tau["gradsign", rung] for rung in (0, 1)} == {-1.0}
    assert {tau["gradient_norm", rung] for rung in (0, 1)} == {1.0}


def test_runs_that_cannot_be_ranked_are_refused(swept):
    """A start that is other runs' end, and losses of several texts."""
    bound, _ = swept
    first = bound.study.runs[0]
    child = derived(first, "average", tokens=0)
    with pytest.raises(UserError, match="begins from the parameters of other runs"):
        _check(SimpleNamespace(name="mine", runs=(first, child)))
    other = first.override(["batch.seq_len=64"])
    with pytest.raises(UserError, match=r"study mine: 2 pairs of texts and batch\.seq_len"):
        _check(SimpleNamespace(name="mine", runs=(first, other)))
