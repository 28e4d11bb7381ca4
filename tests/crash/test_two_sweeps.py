"""Several `windtunnel run` on one folder at once, as on a cluster; and with kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import tiny

from experiments import record
from experiments.launchers import local
from experiments.launchers.local import Local
from experiments.record import StudyPart
from experiments.runs import claim
from experiments.sweep import sweep
from experiments.sweep.sweep import bind, run_sweep

ROWS = [8, 16, 24, 32, 40, 48, 50, 50]  # the last is the validation
MANY = 200

MANY_RUNS = '''
"""Many tiny runs."""

import tiny
from experiments.plan.study import Study


def study() -> Study:
    return tiny.study({path!r}, tuple(1e-3 + 1e-5 * number for number in range({many})))
'''


@pytest.fixture
def run(tmp_path, cache):
    """Start the command on the folder with this study file, in a new session."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = []

    def run(text: str, out: Path, *arguments: str) -> subprocess.Popen[str]:
        file = tmp_path / "mine.py"
        file.write_text(text)
        places = ("--out", str(out), "--cache", str(cache))
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments", "run", str(file), *places, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def steps(run: Path) -> list[int]:
    return [row.step for row in record.read_rows(run / record.METRICS)]


def wait_for(there) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_two_at_once_train_every_run_once(run, texts, tmp_path):
    """Each sweep logs the runs that it trained; no run is in both logs."""
    out = tmp_path / "out"
    both = [run(tiny.STUDY_FILE.format(path=str(texts)), out, "--workers", "1") for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert stdout.splitlines()[-1] == "3 completed"
    runs = [path.parent for path in out.glob("*/summary.json")]
    assert len(runs) == 3
    assert [steps(folder) for folder in runs] == [ROWS] * 3
    assert not any(claim.is_claimed(folder) for folder in runs)


@pytest.mark.slow
def test_run_of_a_sweep_that_was_killed_is_taken_over(run, texts, tmp_path):
    """While the first one trains, the second waits; the first is killed, the second ends it all."""
    out, text = tmp_path / "out", tiny.STUDY_FILE.format(path=str(texts))
    many = ("--workers", "1", "--set", "budget.tokens=128000", "--set", "data.epochs=10")
    first = run(text, out, *many)
    wait_for(lambda: any(file.stat().st_size for file in out.glob("*/metrics.jsonl")))
    second = run(text, out, *many)
    (begun,) = {path.parent for path in out.glob("*/claim.*")}
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    _, stderr = second.communicate(timeout=120)
    assert second.returncode == 0, stderr
    assert [path.name for path in begun.glob("claim.*")] == ["claim.2"]
    ended = [path.parent for path in out.glob("*/summary.json")]
    assert len(ended) == 3
    for folder in ended:
        assert steps(folder) == [*range(8, 2001, 8), 2000]


def test_sweep_says_whom_it_waits_for_and_begins_once_the_runs_are_free(
    texts, cache, tmp_path, monkeypatch
):
    bound = bind(tiny.study(texts), tmp_path, cache)
    handed_out, events, held = [], [], ExitStack()
    monkeypatch.setattr(local, "train_all", lambda populations, *_: handed_out.extend(populations))
    monkeypatch.setattr(sweep.time, "sleep", lambda seconds: held.close())
    jobs = [bound.job(run) for run in bound.study.part(StudyPart.FIT)]
    for job in jobs:
        held.enter_context(claim.take(job.folder))
    run_sweep(bound, StudyPart.FIT, Local(1), events.append)
    (note,) = [event.note for event in events if event.note]
    assert note.startswith(f"waiting for run {jobs[0].run.run_id} and 2 more: held by process ")
    assert len([job for population in handed_out for job in population]) == 3


@pytest.mark.parametrize("damage", [lambda path: path.write_text("{"), Path.mkdir])
@pytest.mark.parametrize("begin", ["some runs left", "no run left", "plan alone"])
def test_damaged_plan_is_moved_aside_told_and_written_anew(
    damage, begin, texts, cache, tmp_path, monkeypatch
):
    bound, events = bind(tiny.study(texts), tmp_path, cache), []
    monkeypatch.setattr(local, "train_all", lambda *_: False)
    damage(tmp_path / record.STUDY)
    if begin == "plan alone":
        sweep.write_plan(bound)
    else:
        jobs = sweep.ready(bound, StudyPart.FIT, Local(1)) if begin == "some runs left" else []
        sweep.train(bound, jobs, Local(1), events.append)
        (note,) = [event.note for event in events if event.note]
        assert "study.json is damaged: moved to quarantine.1" in note
    assert (tmp_path / "quarantine.1" / record.STUDY).exists()
    assert record.read(tmp_path, record.StudyPlan).name == "tiny"


def test_terminated_before_anything_is_trained_exits_with_75(run, texts, tmp_path):
    """The worker is importing JAX or compiling; it is waited for, and says nothing else."""
    process = run(tiny.STUDY_FILE.format(path=str(texts)), tmp_path / "out")
    wait_for((tmp_path / "out" / record.STUDY).exists)
    process.terminate()
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == record.AGAIN, stderr
    assert "same command" in stdout + stderr  # of the sweep, or before it had begun
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_two_hundred_runs_over_four_sweeps_with_random_kills(run, texts, tmp_path):
    """Sweeps or their workers are killed at random; each is started again. Every run ends once."""
    chance, out = random.Random(0), tmp_path / "out"
    text = MANY_RUNS.format(path=str(texts), many=MANY)
    start = time.monotonic()

    def begin() -> tuple[subprocess.Popen[str], float]:
        return run(text, out, "--workers", "1"), time.monotonic() + chance.uniform(5, 40)

    sweeps, kills = [begin() for _ in range(4)], 0
    while sweeps:
        time.sleep(0.1)
        for place, (process, end) in enumerate(list(sweeps)):
            if process.poll() is not None:
                _, stderr = process.communicate()
                assert process.returncode == 0, stderr
                sweeps[place] = None
            elif time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)  # the sweep and its worker
                process.communicate()
                sweeps[place], kills = begin(), kills + 1
        sweeps = [sweep for sweep in sweeps if sweep is not None]
    runs = [path.parent for path in out.glob("*/config.json")]
    assert len(runs) == MANY
    assert {record.run_status(folder) for folder in runs} == {"completed"}
    assert all(steps(folder) == ROWS for folder in runs)
    assert kills >= 4
    print(f"{MANY} runs, {kills} kills, {time.monotonic() - start:.0f} s")
