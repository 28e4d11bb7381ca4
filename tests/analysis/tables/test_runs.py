"""Records to a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import records
from synthetic import Plan, write_study

from analysis import load_runs, load_table
from analysis.tables.points import visible
from analysis.tables.runs import trajectory
from experiments import record
from experiments.record import RunSummary, StudyPlan, read
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


def test_trajectory_of_an_ended_run_has_all_its_rows(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    run = next(path.parent for path in folder.glob("*/metrics.jsonl"))
    records.change(run, RunSummary, files=record.sums(run))
    *rows, _ = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert len(trajectory(run)) == len(rows) + 1
    (run / "metrics.jsonl").write_bytes(b"".join(rows))
    with pytest.raises(UserError, match=r"metrics\.jsonl: has changed since the run ended"):
        trajectory(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "summary.json: not valid JSON"),
        ("[]", "summary.json: $: Expected `object`"),
        ('{"schema": 2, "run_id": "x"}', "summary.json: $: Object missing required field"),
        ("", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("config", ["whole", "gone"])
def test_a_damaged_summary_is_none_and_named(tmp_path: Path, text: str, message: str, config: str):
    folder = write_study(tmp_path / "study")
    file = sorted(folder.glob("*/summary.json"))[4]
    run = read(file.parent, RunSummary)
    if config == "whole":
        record.write(file.parent, records.run_record(run.run_id, study=run.study))
    file.write_text(text)
    table = load_runs(folder).set_index("run_id")
    assert len(table) == 19
    assert (table["status"] == "completed").sum() == 17
    assert table.loc[run.run_id, "status"] == "started"
    assert message in table.loc[run.run_id, "message"]
    assert str(file) in table.loc[run.run_id, "message"]


def test_a_summary_of_another_version_is_named(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    next(folder.glob("*/summary.json")).write_text('{"schema": 7}')
    with pytest.raises(UserError, match="record schema 7"):
        load_runs(folder)


def test_runs_that_the_plan_no_longer_names_are_marked_and_not_fitted(tmp_path: Path):
    folder = write_study(tmp_path / "study")
    plan = read(folder, StudyPlan)
    gone, *stay = plan.runs
    records.change(folder, StudyPlan, runs=tuple(stay))
    table = load_runs(folder).set_index("run_id")
    assert list(table.index[~table["planned"]]) == [gone.run_id]
    keep, notes = visible(load_runs(folder))
    assert list(load_runs(folder)["run_id"][keep]) == [
        run for run in table.index[table["status"] == "completed"] if run != gone.run_id
    ]
    assert any(f"1 run no longer planned ({gone.run_id})" in note for note in notes)


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


def test_parents_compute_is_none_amortised_or_full(tmp_path: Path):
    """Two merges of one base and an expert each: the base's cost is shared by four runs."""

    def write(run_id: str, flops: float, parents: tuple[str, ...] = (), older: float = 0.0) -> None:
        begun = {
            "parents": tuple(record.Parent(run_id=name, step=8) for name in parents),
            "derivation": record.Derivation(
                operation="ties", settings={"keep": 0.2, "weights": [1, 2]}, flops_parents=older
            ),
        }
        fields = begun if parents else {}
        one = records.run_summary(run_id, accounting={"flops_model": flops}, **fields)
        record.write(tmp_path / run_id, one)

    write("base", 12.0)
    for k in "ab":
        write(f"expert_{k}", 3.0, ("base",), 12.0)
        write(f"merged_{k}", 1.0, ("base", f"expert_{k}"), 15.0)
    for k, forward in (("a", 4.0), ("b", 1.0)):  # students of one seed: one pass of 4 serves both
        begun = {
            "parents": (record.Parent(run_id="base", step=8),),
            "derivation": record.Derivation(
                operation="distill", flops_parents=12.0, teachers=("base",), flops_teachers=forward
            ),
        }
        student = records.run_summary(f"student_{k}", accounting={"flops_model": 2.0}, **begun)
        record.write(tmp_path / f"student_{k}", student)
    table = load_runs(tmp_path).set_index("run_id")
    assert list(table.loc["merged_a", ["operation", "parents", "operation.keep"]]) == [
        "ties",
        "base expert_a",
        0.2,
    ]
    costs = table[["flops_model", "flops_with_parents_shared", "flops_with_parents"]]
    names = ("base", "expert_a", "merged_a", "student_a", "student_b")
    assert [list(costs.loc[name]) for name in names] == [
        [12.0, 12.0, 12.0],
        [3.0, 5.0, 15.0],  # the base is behind six
        [1.0, 6.0, 16.0],
        [2.0, 2 + 2 + 3.2, 2 + 12 + 4],
        [2.0, 2 + 2 + 0.8, 2 + 12 + 1],
    ]
