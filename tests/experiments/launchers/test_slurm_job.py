"""The Slurm launcher with a real Slurm: skipped where none answers; slurm_here.sh starts one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import records
import tiny

from experiments import launchers, record
from experiments.launchers.local import Local
from experiments.record import AGAIN, MetricsRow, StudyPart
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import Sweep, bind, run_sweep
from scaling.common.errors import UserError
from scaling.common.files import read_json

slurm = pytest.importorskip("experiments.launchers.slurm", exc_type=ModuleNotFoundError)
ArrayTask = slurm.ArrayTask


def _answers() -> bool:
    return shutil.which("sinfo") is not None and subprocess.run("sinfo").returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _answers(), reason="no Slurm answers: tests/support/slurm_here.sh"),
]

# long enough to be caught in the act
LONG = ("budget.tokens=384000", "data.epochs=40")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Jobs find what this process finds, and are looked at often."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(slurm, "LOOK", 0.2)
    monkeypatch.setattr(slurm, "ASK", 2.0)


def _bind(folder: Path, texts: Path, cache: Path, *assignments: str) -> Sweep:
    return bind(tiny.study(texts).override(assignments), folder, cache)


def _jobs(bound: Sweep) -> list[Job]:
    return [bound.job(run) for run in bound.study.part(StudyPart.FIT)]


def _rows(job: Job) -> list[dict[str, float]]:
    return records.means(job.folder)


def _element(folder: Path, run_id: str) -> str:
    (file,) = (folder / slurm.FOLDER).glob("*.json")
    array_tasks = read_json(file, slurm.Submitted).array_tasks
    (name,) = [name for name, runs in array_tasks.items() if run_id in runs]
    return name


def _only_first(bound: Sweep) -> Sweep:
    return replace(bound, study=replace(bound.study, runs=bound.study.runs[:1]))


def test_records_are_those_of_the_local_launcher(texts, cache, tmp_path):
    ours = _bind(tmp_path / "slurm", texts, cache, "execution.runs_per_program=2")
    theirs = _bind(tmp_path / "local", texts, cache, "execution.runs_per_program=2")
    events: list[Event] = []
    run_sweep(ours, StudyPart.FIT, launchers.load("slurm", 2, {"timeout_min": "10"}), events.append)
    run_sweep(theirs, StudyPart.FIT, Local(2))
    assert {event.phase for event in events if event.phase in record.ENDED} == {"completed"}
    for our, their in zip(_jobs(ours), _jobs(theirs), strict=True):
        assert _rows(our) == _rows(their)


def test_stopped_array_tasks_continue_from_their_checkpoints(texts, cache, tmp_path, capsys):
    """One is told that its time is nearly over, one is requeued by Slurm, one is left alone."""
    ours = _bind(tmp_path / "slurm", texts, cache, *LONG)
    theirs = _bind(tmp_path / "local", texts, cache, *LONG)
    ways = [["scancel", "--signal=USR2"], ["scontrol", "requeue"], None]
    told: dict[str, list[str] | None] = {}
    events: list[Event] = []

    def watch(event: Event) -> None:
        events.append(event)
        if event.phase == "training" and event.run_id not in told:
            told[event.run_id] = way = ways[len(told)]
            if way is not None:
                subprocess.run([*way, _element(ours.folder, event.run_id)], check=True)

    run_sweep(ours, StudyPart.FIT, launchers.load("slurm", 3, {"timeout_min": "10"}), watch)
    run_sweep(theirs, StudyPart.FIT, Local(2))
    assert len(told) == 3
    for our, their in zip(_jobs(ours), _jobs(theirs), strict=True):
        assert ours.status(our.run) == "completed"
        attempts = 1 if told[our.run.run_id] is None else 2
        assert [path.name for path in our.folder.glob("claim.*")] == [f"claim.{attempts}"]
        assert _rows(our) == _rows(their)


def test_element_that_reaches_its_time_limit_goes_on_in_the_next(
    texts, cache, tmp_path, monkeypatch
):
    """Slurm itself sends the signal."""

    class Slow(ArrayTask):
        """The first time it is so slow that its third row takes until the signal."""

        def __call__(self) -> str | None:
            original, rows, came = record.append_rows, [], []

            def append_rows(path: Path, row: list[MetricsRow]) -> None:
                rows.append(row)
                if len(rows) == 3:
                    handler = signal.getsignal(signal.SIGUSR2)
                    signal.signal(signal.SIGUSR2, lambda *_: (came.append(1), handler(*_)))
                    while not came:
                        time.sleep(0.1)
                original(path, row)

            if not (self.population[0].folder / record.CHECKPOINTS).exists():
                record.append_rows = append_rows
            return super().__call__()

    monkeypatch.setattr(slurm, "ArrayTask", Slow)
    bound = _only_first(_bind(tmp_path / "slurm", texts, cache))
    asked = {"timeout_min": "2", "signal_delay_s": "60"}
    run_sweep(bound, StudyPart.FIT, launchers.load("slurm", 1, asked))
    (job,) = _jobs(bound)
    (log,) = (bound.folder / slurm.FOLDER).glob("*_log.out")
    assert "this job is timed-out" in log.read_text()
    assert [path.name for path in job.folder.glob("claim.*")] == ["claim.2"]
    assert [row["step"] for row in _rows(job)] == [8, 16, 24, 32, 40, 48, 50, 50]


def test_cancelled_job_is_told_of_and_the_next_call_goes_on(texts, cache, tmp_path):
    bound = _only_first(_bind(tmp_path / "slurm", texts, cache, *LONG))
    launcher = launchers.load("slurm", 1, {"timeout_min": "10"})

    def watch(event: Event) -> None:
        if event.phase == "training":
            subprocess.run(["scancel", _element(bound.folder, event.run_id)], check=True)

    with pytest.raises(UserError, match=r"^job \d+ was cancelled or killed; its log: .*\.err$"):
        run_sweep(bound, StudyPart.FIT, launcher, watch)
    (job,) = _jobs(bound)
    assert any((job.folder / record.CHECKPOINTS).iterdir())
    run_sweep(bound, StudyPart.FIT, launcher)
    assert bound.status(job.run) == "completed"


def test_the_same_command_after_ctrl_c_follows_the_same_job(texts, cache, tmp_path):
    file, out = tmp_path / "mine.py", tmp_path / "out"
    file.write_text(tiny.STUDY_FILE.format(path=str(texts)))
    longer = [text for assignment in LONG for text in ("--set", assignment)]
    places = ["--out", str(out), "--cache", str(cache)]
    command = [sys.executable, "-m", "experiments", "run", str(file), *places, *longer]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "--launcher", "slurm", "--workers", "1", "--resource", "timeout_min=10"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    first, deadline = start(), time.monotonic() + 120
    while not any(file.stat().st_size for file in out.glob("*/metrics.jsonl")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == AGAIN, stderr
    assert "and the same command follows it" in stderr
    second = start()
    stdout, stderr = second.communicate(timeout=300)
    assert second.returncode == 0, stderr
    assert stdout.splitlines()[-1] == "3 completed"
    assert "with Slurm since an earlier call" in stderr
    assert len(list((out / slurm.FOLDER).glob("*.json"))) == 1
    assert {path.name for path in out.glob("*/claim.*")} == {"claim.1"}
