"""The tables of routed models and of loss curves, from the released files, and fits of curves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import dataset, load
from analysis.datasets.multi_power_law import FIT, TEST, learning_rates
from analysis.datasets.routed_scaling import of_router
from analysis.estimators.loss_curves import LossCurve, fit_curves, score
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws.annealing import multi_power

published = needs_tables("multi_power_law")


@published
def test_routed_runs_are_those_of_the_collected_table():
    table = load("routed_scaling")
    tidy = pd.read_csv(DATA / "routed_scaling" / "tidy.csv")
    tidy.index = pd.Index("run" + tidy["run_id"].astype(str))
    tidy = tidy.loc[table["run_id"]]
    assert len(table) == len(tidy) == 223
    for ours, theirs in (
        ("params_dense", "params_dense"), ("params_total", "params_total"), ("tokens", "tokens"),
        ("loss", "loss"), ("experts", "n_experts"),
    ):  # fmt: skip
        assert table[ours].to_numpy() == pytest.approx(tidy[theirs].to_numpy(), rel=1e-14), ours
    assert (table["router"].to_numpy() == tidy["arch"].to_numpy()).all()


@published
def test_the_runs_of_the_paper():
    table = load("routed_scaling")
    counts = {router: len(of_router(table, router)) for router in ("S-Base", "RL-R", "Hash")}
    assert counts == {"S-Base": 58, "RL-R": 59, "Hash": 56}
    dense = of_router(table, "RL-R").query("router == 'Dense'")
    assert (dense["experts"] == 1).all()
    assert dense["params_dense"].is_unique, "one dense run of a size: other seeds are left out"


@published
def test_curves_are_those_of_the_collected_table():
    table = load("multi_power_law")
    tidy = pd.read_csv(DATA / "multi_power_law" / "tidy.csv")
    assert len(table) == len(tidy) == 6265
    both = table.merge(tidy, left_on=["run_id", "step"], right_on=["run_id", "steps"])
    assert len(both) == 6265
    for name in ("lr", "loss", "split", "schedule", "params_nonembedding"):
        assert (both[f"{name}_x"] == both[f"{name}_y"]).all(), name
    assert set(table.query("split == 'fit'")["schedule"]) == set(FIT)
    assert set(table.query("split == 'test'")["schedule"]) == set(TEST)


@published
@pytest.mark.parametrize("schedule", [*FIT, *TEST])
def test_schedules_are_those_that_were_logged(schedule: str):
    for _, rows in load("multi_power_law").query("schedule == @schedule").groupby("run_id"):
        ours = learning_rates(schedule)[rows["step"].to_numpy()]
        assert ours == pytest.approx(rows["lr"].to_numpy(), rel=1e-12)


@published
def test_released_files_parse_to_the_same_table(tmp_path: Path):
    """Files as released, step, lr and loss alone, made from the collected rows."""
    whole, source = load("multi_power_law"), dataset("multi_power_law")
    files = {}
    for file in source.files:
        files[file.name] = tmp_path / Path(file.name).name
        run = whole[whole["run_id"] == Path(file.name).stem]
        run[["step", "lr", "loss"]].to_csv(files[file.name], index=False)
    assert len(files) == 27
    pd.testing.assert_frame_equal(source.parse(files), whole, check_exact=False, rtol=1e-15)


@published
def test_released_files_come_before_the_collected_table(tmp_path: Path, monkeypatch):
    """A released file that is present is checked, and refused if it is wrong."""
    shutil.copytree(DATA / "multi_power_law", tmp_path / "multi_power_law")
    (tmp_path / "multi_power_law").chmod(0o755)
    monkeypatch.setenv("WINDTUNNEL_DATA", str(tmp_path))
    assert len(load("multi_power_law")) == 6265
    raw = tmp_path / "multi_power_law" / "raw"
    raw.mkdir()
    (raw / Path(dataset("multi_power_law").files[0].name).name).write_text("step,lr,loss\n")
    with pytest.raises(UserError, match="not the released file"):
        load("multi_power_law")


def curve(name: str = "run", **changed: np.ndarray) -> LossCurve:
    fields = {
        "lrs": np.full(100, 1e-3), "steps": np.arange(10, 100, 10), "loss": np.linspace(4, 3, 9)
    }  # fmt: skip
    return LossCurve(name, **{**fields, **changed})


def test_score_by_hand():
    found = score([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    assert found.r2 == pytest.approx(1 - 1 / (14 / 3))
    assert found.mae == pytest.approx(1 / 3)
    assert found.worst == pytest.approx(1 / 4)


def test_curves_that_cannot_be_fitted_are_named():
    with pytest.raises(UserError, match="no curves"):
        fit_curves(multi_power, [])
    with pytest.raises(UserError, match="curve 'short': need one loss for each"):
        fit_curves(multi_power, [curve("short", loss=np.ones(3))])
    with pytest.raises(UserError, match="curve 'run': losses must be finite and positive"):
        fit_curves(multi_power, [curve(loss=np.full(9, np.nan))])
    with pytest.raises(UserError, match=r"7 parameters and the curves 2 point\(s\)"):
        fit_curves(multi_power, [curve(steps=np.array([5, 9]), loss=np.ones(2))])
    with pytest.raises(UserError, match="'chinchilla' is not one of loss curves"):
        fit_curves(laws.chinchilla, [curve()])


def test_a_constant_rate_does_not_identify_what_annealing_does():
    lrs, steps = np.full(2000, 3e-4), np.arange(100, 2000, 50)
    loss = 2.7 + 0.6 * (3e-4 * (steps + 1)) ** -0.4
    found = fit_curves(multi_power, [LossCurve("constant", lrs, steps, loss)])
    assert found.status == "not identified"
    assert any("B, C, beta, gamma" in text for text in found.warnings)
    assert found.params["alpha"] == pytest.approx(0.4, rel=1e-3)
