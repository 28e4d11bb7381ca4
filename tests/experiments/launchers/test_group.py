"""Two real processes on loopback train one run; whoever goes on with it comes to the same."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import records
import tiny
from paths import ROOT, SUPPORT
from quick import FLAGS

from experiments import record
from experiments.launchers import load
from experiments.record import AGAIN, RunSummary, Status
from experiments.sweep.sweep import Sweep, bind
from experiments.training.trainer import train
from scaling.common.errors import UserError

EXPERIMENTS = ("-m", "experiments")
STEPS = 400  # of the run that is killed so often
PATIENCE = 300.0  # seconds until who hangs has failed, on however loaded a machine
TOLERANCE = 1e-5
STUDY = """
import tiny

def study(path: str = {path!r}):
    return tiny.study(path, (0.002,))
"""
HIERARCHICAL = ("execution.layout.name=hierarchical", "execution.layout.fsdp=2")
FSDP = ("execution.layout.name=fsdp",)
FSDP_4 = (*FSDP, "execution.layout.fsdp=4")

Ends = list[tuple[int, str]]  # exit code and output


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, texts: Path, cache: Path) -> Sweep:
    """The run, trained by one process on one device."""
    sweep = sweep_of(tmp_path_factory.mktemp("here"), texts, cache)
    train(sweep.job(sweep.study.runs[0]), sweep.corpora)
    return sweep


def sweep_of(folder: Path, texts: Path, cache: Path) -> Sweep:
    return bind(tiny.study(texts, (0.002,)), folder, cache)


class Shell:
    """Commands on one study's folder."""

    def __init__(self, folder: Path, texts: Path, cache: Path) -> None:
        self.out, self.texts, self.cache = folder / "out", texts, cache
        self.study = folder / "together.py"
        self.study.write_text(STUDY.format(path=str(texts)), encoding="utf-8")

    def start(
        self, settings: Sequence[str], *more: str, devices: int, program: Sequence[str]
    ) -> subprocess.Popen[str]:
        paths = os.pathsep.join((str(ROOT), str(SUPPORT)))
        environment = {
            **os.environ,
            "PYTHONPATH": paths,
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(devices),
            "XLA_FLAGS": FLAGS,
        }
        places = ("--out", str(self.out), "--cache", str(self.cache))
        chosen = [text for setting in settings for text in ("--set", setting)]
        return subprocess.Popen(
            [sys.executable, *program, "run", str(self.study), *places, *chosen, *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def group(self, settings: Sequence[str], programs: Sequence[Sequence[str]]) -> Ends:
        """A process of two devices for each of these programs, which meet at a free port."""
        return ends([start() for start in self.starts(settings, programs)])

    def starts(
        self, settings: Sequence[str], programs: Sequence[Sequence[str]], **more: int
    ) -> list[Callable[[], subprocess.Popen[str]]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        told = {"coordinator": f"127.0.0.1:{port}", "processes": len(programs), **more}
        return [
            partial(
                self.start,
                settings,
                *("--launcher", "group"),
                *(f"--resource={name}={value}" for name, value in told.items()),
                f"--resource=process={k}",
                devices=2,
                program=program,
            )
            for k, program in enumerate(programs)
        ]

    @property
    def run(self) -> Path:
        (config,) = self.out.glob(f"*/{record.CONFIG}")
        return config.parent


def ends(started: Sequence[subprocess.Popen[str]]) -> Ends:
    """Exit codes and outputs of the processes; kills those that hang."""
    try:
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(p.returncode, text) for p, text in zip(started, outputs, strict=True)]


def preempted(number: signal.Signals) -> tuple[str, ...]:
    return (str(SUPPORT / "preempted.py"), number.name)


def rows(run: Path) -> list[dict[str, float]]:
    """The rows without the wall time."""
    return records.means(run)


def check_same(run: Path, sweep: Sweep) -> None:
    """The record is that of the other run, up to rounding and the place."""
    other = sweep.folder / run.name
    for row, expected in zip(rows(run), rows(other), strict=True):
        assert row == pytest.approx(expected, rel=TOLERANCE)
    found, expected = (record.read(path, RunSummary) for path in (run, other))
    assert found.status is Status.COMPLETED
    assert found.metrics.loss == pytest.approx(expected.metrics.loss, rel=TOLERANCE)


def environment(run: Path) -> dict[str, Any]:
    found = record.read(run, RunSummary).environment
    return {"processes": found.processes, "devices": found.devices}


def test_two_processes_are_preempted_and_one_goes_on(
    tmp_path: Path, texts: Path, cache: Path, here: Sweep
) -> None:
    shell = Shell(tmp_path, texts, cache)
    stopped = shell.group(HIERARCHICAL, [EXPERIMENTS, preempted(signal.SIGTERM)])
    assert [code for code, _ in stopped] == [AGAIN, AGAIN], stopped
    assert "not finished" in stopped[0][1]
    assert record.run_status(shell.run) is Status.STARTED
    before = list(record.read_rows(shell.run / record.METRICS))
    assert 0 < before[-1].step < tiny.STEPS

    alone = sweep_of(tmp_path / "alone", texts, cache)
    shutil.copytree(shell.out, alone.folder)  # on one device, by one process
    train(alone.job(alone.study.runs[0]), alone.corpora)
    check_same(alone.folder / shell.run.name, here)
    assert (
        list(record.read_rows(alone.folder / shell.run.name / record.METRICS))[: len(before)]
        == before
    )  # went on


@pytest.mark.slow
def test_one_process_of_four_devices_goes_on(
    tmp_path: Path, texts: Path, cache: Path, here: Sweep
) -> None:
    shell = Shell(tmp_path, texts, cache)
    stopped = shell.group(FSDP, [preempted(signal.SIGINT), EXPERIMENTS])
    assert [code for code, _ in stopped] == [AGAIN, AGAIN], stopped
    (done,) = ends([shell.start(FSDP_4, devices=1, program=EXPERIMENTS)])
    assert done[0] == 0, done
    check_same(shell.run, here)
    assert environment(shell.run) == {"processes": 1, "devices": 4}


@pytest.mark.slow
def test_killed_process_ends_the_group_and_the_same_command_goes_on(
    tmp_path: Path, texts: Path, cache: Path, here: Sweep
) -> None:
    shell = Shell(tmp_path, texts, cache)
    killed = shell.group(HIERARCHICAL, [EXPERIMENTS, preempted(signal.SIGKILL)])
    assert killed[1][0] == -signal.SIGKILL, killed
    assert killed[0][0] != 0, killed
    done = shell.group(FSDP, [EXPERIMENTS, EXPERIMENTS])
    assert [code for code, _ in done] == [0, 0], done
    assert "1 completed" in done[0][1]
    assert "completed" not in done[1][1]  # process 1 is silent
    check_same(shell.run, here)
    assert environment(shell.run) == {"processes": 2, "devices": 4}


def outlive(shell: Shell, kills: int, *settings: str) -> Ends:
    """A group that is killed so often; a killed command is started again."""
    marks = shell.study.parent / "marks"
    marks.mkdir()
    program = (str(SUPPORT / "killed.py"), str(marks), str(kills))
    unaided = (*FSDP, *settings, "execution.checkpoint_seconds=3600")
    starts = shell.starts(unaided, [program, program], copy_steps=8)
    running, end = [start() for start in starts], time.monotonic() + 2 * PATIENCE
    while any(process.poll() is None for process in running) and time.monotonic() < end:
        for k, process in enumerate(running):
            if process.poll() == -signal.SIGKILL:
                process.communicate()
                running[k] = starts[k]()
        time.sleep(0.1)
    found = ends(running)
    assert len(list(marks.iterdir())) == kills
    return found


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_the_group_goes_on_from_memory(
    tmp_path: Path, texts: Path, cache: Path, here: Sweep
) -> None:
    shell = Shell(tmp_path, texts, cache)
    found = outlive(shell, 1)
    assert [code for code, _ in found] == [0, 0], found
    steps = re.findall(r"goes on at step (\d+) from memory", found[0][1])
    assert [int(step) in (8, 16, 24) for step in steps] == [True], found
    check_same(shell.run, here)


@pytest.mark.slow
def test_a_group_outlives_twenty_kills_of_processes_and_keepers(
    tmp_path: Path, texts: Path, cache: Path
) -> None:
    alone = sweep_of(tmp_path / "alone", texts, cache)
    sweep = replace(alone, study=alone.study.override(tiny.lasting(STEPS)))
    train(sweep.job(sweep.study.runs[0]), sweep.corpora)
    shell = Shell(tmp_path, texts, cache)
    found = outlive(shell, 20, *tiny.lasting(STEPS)[:2])
    assert [code for code, _ in found] == [0, 0], found
    check_same(shell.run, sweep)


@pytest.mark.slow
def test_mistakes_end_every_process(tmp_path: Path, texts: Path, cache: Path) -> None:
    found = Shell(tmp_path, texts, cache).group((), [EXPERIMENTS, EXPERIMENTS])
    assert [code for code, _ in found] == [2, 2], found
    assert "execution.layout.name=single: 2 processes train a run together" in found[0][1]


@pytest.mark.parametrize(
    ("workers", "resources", "text"),
    [
        (2, {}, "--workers 2: a group trains one run at a time"),
        (None, {"proceses": "2"}, "--resource proceses: did you mean 'processes'"),
        (None, {"processes": "two"}, "--resource processes=two: expected a whole number"),
        (None, {"coordinator": "here"}, "coordinator=here: expected HOST:PORT"),
        (None, {"processes": "2", "process": "2"}, "process=2: processes=2 are numbered from 0"),
        (None, {"copy_steps": "8"}, "copy_steps=8: 1 or more, with coordinator=HOST:PORT"),
    ],
)
def test_words_that_no_group_knows(
    workers: int | None, resources: dict[str, str], text: str
) -> None:
    with pytest.raises(UserError, match=text):
        load("group", workers, resources)
