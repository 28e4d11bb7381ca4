"""Two real processes on loopback train one run together; one process goes on with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny

from experiments import record
from experiments.launchers import load
from experiments.record import AGAIN, Status
from experiments.study import Study
from scaling.errors import UserError

ROOT = Path(__file__).parents[2]
PROCESSES = 2
PATIENCE = 300.0  # seconds until a process that hangs is a failure, on however loaded a machine

STUDY = '''
import tiny

def study(path: str = {path!r}):
    return tiny.study(path, (0.002,))
'''


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.shared_texts(tmp_path_factory.getbasetemp())


@pytest.fixture
def study(tmp_path: Path, texts: Path) -> Path:
    path = tmp_path / "together.py"
    path.write_text(STUDY.format(path=str(texts)), encoding="utf-8")
    return path


def start(arguments: list[str], devices: int) -> subprocess.Popen[str]:
    """`python -m experiments run` in a process of so many fake devices."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests/experiments")))
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # as by quick.py
    }
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", "run", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def group(arguments: list[str], devices: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes of a group, from process 0 on; none outlives this."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--launcher", "group", "--resource", f"coordinator=127.0.0.1:{port}"]
    where += ["--resource", f"processes={PROCESSES}"]
    started = [
        start([*arguments, *where, "--resource", f"process={k}"], devices)
        for k in range(PROCESSES)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """The exit code and the output of each."""
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    return [(p.returncode, text) for p, text in zip(processes, outputs, strict=True)]


def curve(folder: Path) -> list[dict[str, float]]:
    """The rows of the only run, without what a clock says."""
    (run,) = folder.glob("*/metrics.jsonl")
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in record.read_rows(run)
    ]


def summary(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*/summary.json")
    return record.read_json(path)


def wait_for_rows(folder: Path, count: int, processes: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while sum(len(path.read_bytes().splitlines()) for path in folder.glob("*/*.jsonl")) < count:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), ends(processes)
        time.sleep(0.05)
