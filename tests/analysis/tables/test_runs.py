"""Records to a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import Plan, write_study

from analysis import load_runs, load_table
from analysis.tables.runs import trajectory
from experiments.record import RunSummary, read
from scaling.common.errors import UserError


def test_one_row_per_run(tmp_path: Path):
    folder = write_study(tmp_path / "study", Plan(statuses={2: "diverged", 5: "started"}))
    table = load_runs(folder).set_index("run_id")
    assert len(table) == 19
    assert table["status"].value_counts().to_dict() == {
        "completed": 16, "diverged": 1, "started": 1, "missing": 1,
    }  # fmt: skip
    done = table[table["status"] == "completed"].iloc[0]
    summary = read(Path(done["path"]), RunSummary)
    assert done["loss_per_byte"] == summary.metrics.loss_per_byte
    assert done["params_total"] == summary.accounting["params_total"]
    assert done["model.width"] == summary.science["model"]["width"]
    assert done["seed"] == 0 and done["device"] == "cpu"
    absent = table[table["status"].isin(["missing", "started"])]
    assert absent["loss_per_byte"].isna().all()
    assert np.isnan(table.loc[table["status"] == "diverged", "loss_per_byte"]).all()


def test_a_run_and_a_folder_of_studies(tmp_path: Path):
    one = write_study(tmp_path / "one")
    write_study(tmp_path / "two", Plan(seed=1))
    assert len(load_runs(tmp_path)) == 38
    run = next(path.parent for path in one.glob("*/summary.json"))
    assert list(load_runs(run)["run_id"]) == [run.name]


def test_trajectory_leaves_a_torn_line_out(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    run = next(path.parent for path in folder.glob("*/metrics.jsonl"))
    before = len(trajectory(run))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "lo')
    assert len(trajectory(run)) == before
    assert "valid_loss" in trajectory(run).columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "summary.json: not valid JSON"),
        ('{"schema": 7}', "record schema 7"),
        ('{"schema": 2, "run_id": "x"}', r"summary.json: \$: Object missing required field"),
        ("", "not valid JSON"),
    ],
)
def test_a_damaged_summary_is_named(tmp_path: Path, text: str, message: str):
    folder = write_study(tmp_path / "study")
    file = sorted(folder.glob("*/summary.json"))[4]
    file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_runs(folder)
    assert str(file) in str(error.value)


def test_folders_without_runs(tmp_path: Path):
    with pytest.raises(UserError, match="no runs here"):
        load_runs(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_runs(tmp_path / "absent")
    with pytest.raises(UserError, match="no such file"):
        trajectory(tmp_path)


def test_tables(tmp_path: Path):
    file = tmp_path / "runs.csv"
    file.write_text("n,d,loss\n1e6,1e7,3.5\n")
    assert load_table(file)["n"].iloc[0] == 1e6
    with pytest.raises(UserError, match="cannot read"):
        load_table(tmp_path / "absent.csv")
    file.write_text("")
    with pytest.raises(UserError, match="not a table"):
        load_table(file)
    file.write_text("n,d,loss\n")
    with pytest.raises(UserError, match="no rows"):
        load_table(file)
