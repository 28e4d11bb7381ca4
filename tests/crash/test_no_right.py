"""Runs that this process may not read or write stop no other, and none of their files changes."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from unprivileged import unprivileged

from analysis import load_runs
from experiments import record
from experiments.launchers.local import Local
from experiments.record import Status, StudyPart
from experiments.sweep.sweep import Standing, ready
from scaling.common.errors import UserError


@pytest.fixture
def copied(swept, tmp_path):
    """Three runs that have ended; the folders have their modes back at the end."""
    shutil.copytree(swept[0].folder, tmp_path / "runs")
    yield replace(swept[0], folder=tmp_path / "runs")
    for path in (tmp_path / "runs").rglob("*"):
        path.chmod(0o700)


@pytest.mark.parametrize("closed", ["", record.SUMMARY, record.METRICS])
def test_an_unreadable_run_is_named_and_left_out(copied, closed):
    first, _, last = copied.study.part(StudyPart.FIT)
    shutil.rmtree(copied.folder / last.run_id)
    (copied.folder / first.run_id / closed).chmod(0)
    with unprivileged():
        assert copied.standing(first) is Standing.FAILED
        assert copied.closed(first).endswith("cannot read (Permission denied)")
        assert copied.closed(first) in copied.remarks(copied.standings())
        jobs = ready(copied, StudyPart.FIT, Local(1))
        runs = load_runs(copied.folder).set_index("run_id")
    assert [job.run for job in jobs] == [last]
    if closed != record.METRICS:  # a table of runs does not need it
        assert runs.loc[first.run_id, "status"] == Status.STARTED
        assert "cannot read" in runs.loc[first.run_id, "message"]


def test_an_unfinished_run_that_cannot_be_written_is_left_out(copied):
    first, second, last = copied.study.part(StudyPart.FIT)
    for run in (first, last):
        (copied.folder / run.run_id / record.SUMMARY).unlink()
    for run in (first, second):
        (copied.folder / run.run_id).chmod(0o500)
    with unprivileged():
        assert copied.standing(first) is Standing.STALE  # another's run, to be looked at
        assert "cannot write there (Permission denied)" in copied.closed(first)
        assert copied.closed(second) == ""
        assert [job.run for job in ready(copied, StudyPart.FIT, Local(1))] == [last]
        copied.folder.chmod(0o500)
        with pytest.raises(UserError, match=r"cannot write there \(Permission denied\)"):
            ready(copied, StudyPart.FIT, Local(1))
    copied.folder.chmod(0o700)
