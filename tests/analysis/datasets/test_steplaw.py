"""Tables of Step Law and of critical batch sizes, parsed from the released files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import load
from analysis.datasets.steplaw import BOOTSTRAP
from scaling.common.errors import UserError

pytestmark = needs_tables("steplaw/raw")


def test_steplaw_runs():
    runs = load("steplaw")
    tidy = pd.read_csv(DATA / "steplaw" / "tidy_dense.csv")
    assert len(runs) == 1911 and runs["run_id"].is_unique
    same = ["params_nonembedding", "tokens", "lr", "batch_tokens", "loss", "final_step_loss"]
    assert np.array_equal(runs[same].to_numpy(float), tidy[same].to_numpy(float))
    assert runs.groupby(["params_nonembedding", "tokens"]).ngroups == 17
    assert runs["diverged"].sum() == 181
    assert (runs["loss"][runs["diverged"]] > 4).all()


def test_steplaw_counts_agree_with_each_other():
    """N from the shape, exactly; D from the steps, which round it by 0.22 % at most."""
    runs = load("steplaw")
    shape = runs["depth"] * runs["width"] * (4 * runs["width"] + 3 * runs["ffn"])
    assert (shape == runs["params_nonembedding"]).all()
    assert (runs["steps"] * runs["batch_tokens"] / runs["tokens"] - 1).abs().max() < 0.0023


def test_flops_do_not_overflow():
    """6 N D reaches 3.7e20, beyond 64-bit integers."""
    runs = load("steplaw")
    assert runs["flops_6nd"].dtype == np.float64
    assert runs["flops_6nd"].max() == pytest.approx(6 * 1073741824 * 56.9e9)
    assert runs["flops_6nd"].max() > np.iinfo(np.int64).max


def test_steplaw_bootstrap():
    fits = BOOTSTRAP.load()
    assert list(fits) == ["lr_intercept", "lr_coefN", "lr_coefD", "bs_intercept", "bs_coefD"]
    assert len(fits) == 1000


def test_critical_batch_size():
    steps = load("critical_batch_size")
    assert list(steps["size"].unique()) == ["85M", "151M", "302M", "604M", "1.2B"]
    assert steps.groupby("size")["batch_seqs"].nunique().eq(9).all()
    assert (steps["steps"] * steps["batch_seqs"] * 512 == steps["tokens"]).all()
    assert "lr" not in steps  # the released one is not that of the best run


def test_a_changed_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = tmp_path / "critical_batch_size"
    here.mkdir()
    text = (DATA / "critical_batch_size" / "tidy.csv").read_text(encoding="utf-8")
    (here / "tidy.csv").write_text(text.replace("46000", "46001"), encoding="utf-8")
    monkeypatch.setenv("WINDTUNNEL_DATA", str(tmp_path))
    with pytest.raises(UserError, match="not the released file"):
        load("critical_batch_size")
