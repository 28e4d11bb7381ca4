"""Asked to stop at the moment of a save, an evaluation or the summary, a run ends alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import records
import stopped
import tiny
from plugged import plugged

from experiments import record
from experiments.launchers import _worker as worker
from experiments.record import AGAIN, Status
from scaling.common.plugins import VARIABLE

EVALUATIONS = 3
BUSY = ("execution.checkpoint_seconds=0.0", f"evaluation.times={EVALUATIONS}")
AT_THE_END = {"evaluation": EVALUATIONS, "evaluated": EVALUATIONS} | dict.fromkeys(
    ("summary", "summary file", "summary written"), 1
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, corpus):
    """The folder of the run that nobody stopped."""
    job = tiny.job(tmp_path_factory.mktemp("finished"), *BUSY)
    worker.attend((job,), corpus, lambda event: None, lambda: False)
    return job.folder


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        *((point, 1) for point in stopped.POINTS if point != "compile"),
        *((point, nth) for point, nth in AT_THE_END.items() if nth > 1),
    ],
)
def test_run_stopped_at_a_point_ends_alike(tmp_path, corpus, finished, monkeypatch, point, nth):
    """Stopped with steps left it is STARTED, and COMPLETED where it had taken its last."""
    job, asked = tiny.job(tmp_path, *BUSY), []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(point))
    stopped.stop_at(point, nth, lambda: os.kill(os.getpid(), signal.SIGTERM), monkeypatch.setattr)
    try:
        worker.attend((job,), corpus, lambda event: None, lambda: bool(asked))
    finally:
        signal.signal(signal.SIGTERM, before)
        monkeypatch.undo()
    assert asked == [point]
    has_ended = AT_THE_END.get(point) == nth
    assert record.run_status(job.folder) is (Status.COMPLETED if has_ended else Status.STARTED)
    worker.attend((job,), corpus, lambda event: None, lambda: False)
    assert records.means(job.folder) == records.means(finished)
    assert records.untimed(job.folder) == records.untimed(finished)
    assert not list(job.folder.glob("quarantine.*"))


STUDY = """
from dataclasses import replace
import tiny

def study():
    return tiny.study({path!r}, rates=(1e-3, 2e-3)).override({settings!r})
"""


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments", "run", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("study") / "stopping.py"
    settings = (*BUSY, "execution.runs_per_program=1")
    path.write_text(STUDY.format(path=str(texts), settings=settings))
    return str(path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, study):
    out = tmp_path_factory.mktemp("undisturbed")
    found = command(study, "--out", str(out), "--workers", "1")
    assert found.returncode == 0, found.stderr
    return out


# Of two runs, one after the other
MOMENTS = [
    *((point, 1, AGAIN) for point in stopped.POINTS),
    ("evaluation", EVALUATIONS, AGAIN),
    ("evaluation", 2 * EVALUATIONS, 0),
    ("evaluated", 2 * EVALUATIONS, 0),
    ("summary", 2, 0),
    ("summary file", 2, 0),
    ("summary written", 2, 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "nth", "code"), MOMENTS)
def test_command_stopped_at_a_point_ends_alike(tmp_path, study, undisturbed, point, nth, code):
    """The command ends with 75 where a run is left, else with 0; the next one is never in doubt."""
    out = tmp_path / "out"
    with plugged(tmp_path / "mine", {"experiments.launchers.stopping": stopped.LAUNCHER}):
        assert os.environ[VARIABLE]
        resources = ("--resource", f"point={point}", "--resource", f"nth={nth}")
        found = command(study, "--out", str(out), "--launcher", "stopping", *resources)
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    again = command(study, "--out", str(out), "--workers", "1")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "2 completed"), again.stderr
    runs = sorted(path.parent.name for path in undisturbed.glob("*/summary.json"))
    assert len(runs) == 2
    for run in runs:
        assert records.means(out / run) == records.means(undisturbed / run)
        assert records.untimed(out / run) == records.untimed(undisturbed / run)
        assert not list((out / run).glob("quarantine.*"))
