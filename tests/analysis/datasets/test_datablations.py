"""Tables of the over-training and the repeated-data study: against the collected copies, and with
overflow, repeated names and slips."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import dataset, load
from analysis.datasets.datablations import ALL, ALL_CELL, FITTED, FITTED_CELL, NOTEBOOK
from scaling.common.errors import UserError

GADRE, REPEATED = DATA / "gadre_overtraining", DATA / "datablations"
gadre = needs_tables("gadre_overtraining/tidy.csv")
repeated = needs_tables(f"datablations/{ALL}")


@gadre
def test_overtraining_runs():
    table = load("gadre_overtraining")
    assert len(table) == 104
    assert table["run_id"].is_unique
    assert list(table.columns[:4]) == ["run_id", "params_total", "params_nonembedding", "tokens"]
    ratio = table["tokens"] / table["params_total"]
    np.testing.assert_allclose(ratio, table["tokens_per_param"], rtol=1e-9)
    chosen = table.groupby("dataset")[["in_loss_fit", "in_error_fit"]].sum()
    assert (chosen["in_loss_fit"] == 5).all() and (chosen["in_error_fit"] == 6).all()


@gadre
def test_compute_is_not_wrapped_around():
    """6ND of the 6.9B runs is 5.7e21, past 2^63 = 9.2e18."""
    table = load("gadre_overtraining")
    assert table["flops_6nd"].dtype == np.float64
    exact = [int(text) for text in pd.read_csv(GADRE / "tidy.csv", dtype=str)["flops"]]
    assert max(exact) > 2**63
    np.testing.assert_allclose(table["flops_6nd"], [float(each) for each in exact], rtol=1e-15)


@gadre
def test_a_batch_of_one_sequence_is_blank():
    table = load("gadre_overtraining")
    blank = table["batch_tokens"].isna()
    assert set(table.loc[blank, "arch"]) == {"open_lm_7b"}
    assert (table.loc[~blank, "batch_tokens"] >= 1e5).all()


@gadre
def test_mean_errors_are_those_of_the_tasks():
    table = load("gadre_overtraining").set_index("run_id")
    tasks = pd.read_csv(GADRE / "tidy_downstream_long.csv")
    for count in (17, 46):
        some = tasks[tasks[f"in_{count}"]]
        error = 1 - some.groupby("run_id")["accuracy"].mean()
        assert (some.groupby("run_id").size() == count).all()
        np.testing.assert_allclose(table[f"err_avg{count}"], error[table.index], rtol=1e-12)


@repeated
def test_repeated_runs_are_the_collected_ones():
    table, tidy = load("datablations"), pd.read_csv(REPEATED / ALL)
    assert (table["run_id"] == tidy["run_id"]).all()
    for name in ("params_total", "tokens", "unique_tokens", "epochs", "loss"):
        assert (table[name] == tidy[name]).all()
    np.testing.assert_allclose(table["flops_6nd"], tidy["flops"], rtol=1e-15)
    fitted = pd.read_csv(REPEATED / FITTED)
    keys = ["params_total", "tokens", "unique_tokens", "loss"]
    marked = table.loc[table["in_published_fit"], keys].sort_values(keys)
    np.testing.assert_array_equal(marked, fitted[keys].sort_values(keys))


@repeated
def test_seeds_share_a_model_and_not_a_run():
    table = load("datablations")
    assert table["run_id"].is_unique
    seeds = table["model"].value_counts()
    assert seeds.max() == 5 and (seeds > 1).sum() == 17
    same = table.groupby("model")[["params_total", "tokens", "unique_tokens"]].nunique()
    assert (same == 1).all(axis=None)


@repeated
def test_diverged_runs_are_kept_and_marked():
    table = load("datablations")
    assert table["diverged"].sum() == 14
    assert table.loc[table["diverged"] & table["in_published_fit"], "model"].tolist() == [
        "421m32b100m"
    ]
    early = table[(table["loss"] > 5) & ~table["diverged"]]
    assert early["tokens"].max() <= 1.5e9  # high because they are short, not because they broke


@repeated
@pytest.mark.skipif(not (REPEATED / NOTEBOOK).exists(), reason="the notebook is not here")
def test_the_notebook_says_what_was_collected():
    collected = dataset("datablations").parse({name: REPEATED / name for name in (ALL, FITTED)})
    printed = dataset("datablations").parse({NOTEBOOK: REPEATED / NOTEBOOK})
    pd.testing.assert_frame_equal(printed, collected, check_exact=True)


def notebook(path: Path) -> Path:
    """Two cells that print runs as the released one does, with its other prints between."""
    cells: list[dict] = [{"cell_type": "markdown", "source": []} for _ in range(FITTED_CELL + 1)]
    lines = ["2b84b4b 2810000000.0 4000000000.0 4000000000.0 3.265024\n", "1b25\n",
             "1b15b9100m 1096300000.0 5900000000.0 100000000.0 6.013517\n",
             "2b84b4b 2810000000.0 4000000000.0 4000000000.0 3.27\n"]  # fmt: skip
    cells[ALL_CELL] = {"outputs": [{"output_type": "stream", "text": lines}]}
    fitted = ["2b84b4b 2.81 4.0 4.0 3.27\n", "\n"]
    cells[FITTED_CELL] = {"outputs": [{"output_type": "stream", "text": fitted}]}
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def test_a_print_is_read(tmp_path: Path):
    table = dataset("datablations").parse({NOTEBOOK: notebook(tmp_path / "made.ipynb")})
    assert table["run_id"].tolist() == ["2b84b4b#0", "1b15b9100m#1", "2b84b4b#2"]
    assert table["flops_6nd"].tolist() == pytest.approx([6.744e19, 3.8809e19, 6.744e19], rel=1e-4)
    assert table["epochs"].tolist() == [1, 59, 1]
    assert table["diverged"].tolist() == [False, True, False]
    assert table["in_published_fit"].tolist() == [False, False, True]


def test_a_notebook_at_hand_goes_before_the_collected_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A wrong checksum is refused, though there are tables beside the file."""
    folder = tmp_path / "datablations"
    (folder / NOTEBOOK).parent.mkdir(parents=True)
    notebook(folder / NOTEBOOK)
    for name in (ALL, FITTED):
        (folder / name).write_text("model_name,loss\n", encoding="utf-8")
    monkeypatch.setenv("WINDTUNNEL_DATA", str(tmp_path))
    found = hashlib.sha256((folder / NOTEBOOK).read_bytes()).hexdigest()[:12]
    with pytest.raises(UserError, match=rf"parametric_fit.*{found}"):
        load("datablations")
    (folder / NOTEBOOK).unlink()
    with pytest.raises(UserError, match=rf"{ALL}: not the released file"):
        load("datablations")
