"""Things that are no files, or no folders, in a run's folder: named, moved aside, never read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from analysis import load_runs
from experiments import record
from experiments.record import Status, StudyPart
from experiments.runs.quarantine import damage, quarantine


@pytest.fixture
def run(swept, tmp_path):
    """A copy of a finished run."""
    first = swept[0].study.part(StudyPart.FIT)[0]
    return Path(shutil.copytree(swept[0].folder / first.run_id, tmp_path / "run"))


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("thing", [os.mkfifo, a_link_to_nothing, a_folder])
@pytest.mark.parametrize("name", [record.CONFIG, record.SUMMARY, record.METRICS])
def test_no_file(run, name, thing):
    (run / name).unlink()
    thing(run / name)
    assert record.run_status(run) in (Status.STARTED, Status.MISSING)
    assert damage(run)[name] == f"{name} is no file"
    list(record.newest_rows(run / record.METRICS))
    assert f"{name} is no file" in str(quarantine(run))
    assert not os.path.lexists(run / name) and not damage(run)


def test_the_record_of_another_run_is_no_record_of_this_one(run, swept, tmp_path):
    """Copied or renamed: else its loss would count for this run, and its checkpoint continue it."""
    first, second = swept[0].study.part(StudyPart.FIT)[:2]
    other = Path(shutil.copytree(run, tmp_path / second.run_id))
    assert record.run_status(run) is Status.COMPLETED  # a name that is no id
    assert record.run_status(other) is Status.STARTED
    assert damage(other)[record.METRICS] == f"metrics.jsonl is of run {first.run_id}"
    assert "continues from its beginning" in str(quarantine(other))
    assert not damage(other) and record.run_status(other) is Status.MISSING
    rows = load_runs(shutil.copytree(swept[0].folder, tmp_path / "study")).set_index("run_id")
    shutil.rmtree(tmp_path / "study" / second.run_id)
    shutil.copytree(run, tmp_path / "study" / second.run_id)
    shutil.copytree(run, tmp_path / "study" / "copy")
    seen = load_runs(tmp_path / "study")
    sound = seen[(seen["planned"] != False) & (seen["status"] == "completed")]  # noqa: E712
    assert set(sound["run_id"]) == set(rows.index[rows["status"] == "completed"]) - {second.run_id}
    assert sound["run_id"].is_unique
    told = seen.set_index("run_id").loc[second.run_id]
    assert told["status"] == "started" and f"the record of run {first.run_id}" in told["message"]


@pytest.mark.parametrize("thing", [os.mkfifo, a_link_to_nothing, Path.touch])
@pytest.mark.parametrize("name", [record.CHECKPOINTS, f"{record.CHECKPOINTS}/{10**6}"])
def test_no_folder(run, name, thing):
    if name == record.CHECKPOINTS:
        shutil.rmtree(run / name)
    thing(run / name)
    assert damage(run) == {name: f"{name} is no folder"}
    assert f"{name} is no folder" in str(quarantine(run))
    assert not os.path.lexists(run / name) and not damage(run)
