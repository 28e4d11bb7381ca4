"""Things that are no files, or no folders, in a run's folder: named, moved aside, never read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("thing", [os.mkfifo, a_link_to_nothing, Path.touch])
@pytest.mark.parametrize("name", [record.CHECKPOINTS, f"{record.CHECKPOINTS}/{10**6}"])
def test_no_folder(run, name, thing):
    if name == record.CHECKPOINTS:
        shutil.rmtree(run / name)
    thing(run / name)
    assert damage(run) == {name: f"{name} is no folder"}
    assert f"{name} is no folder" in str(quarantine(run))
    assert not os.path.lexists(run / name) and not damage(run)
