"""Tests on eight fake devices of the CPU, all in one process.

JAX fixes its number of devices when it starts. So a second pytest runs these tests with eight
devices and sends its reports as they come. The first pytest waits for the report of each test
in turn and takes over its outcome. Names, durations, -k, -m and -x are as in every other folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from cpu_time import CLOCK
from paths import ROOT
from quick import FLAGS

DEVICES = "--xla_force_host_platform_device_count=8"
PIPE = "WINDTUNNEL_TEST_REPORTS"  # in the second process: where its reports go


@dataclass
class Second:
    """The process with eight devices, its reports, and its output."""

    process: subprocess.Popen[bytes]
    pipe: IO[str]
    output: IO[bytes]
    reports: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def outcome(self, name: str) -> None:
        """Pass, fail or skip as the test of this name does; fail if the process ends before."""
        while (name, "teardown") not in self.reports:
            line = self.pipe.readline()
            if not line:
                self.output.seek(0)
                text = self.output.read().decode()[-5000:]
                pytest.fail(f"the process with eight devices ended:\n{text}", pytrace=False)
            report = json.loads(line)
            self.reports[report["name"], report["when"]] = report
            CLOCK.told += report["cpu"]
        for when in ("setup", "call", "teardown"):
            if report := self.reports.get((name, when)):
                if report["outcome"] == "failed":
                    pytest.fail(report["text"], pytrace=False)
                if report["outcome"] == "skipped":
                    pytest.skip(report["text"])


SECOND = pytest.StashKey[Second]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if PIPE in os.environ:
        return None
    stash = pyfuncitem.session.stash
    if SECOND not in stash:
        stash[SECOND] = _start(pyfuncitem.session)
    stash[SECOND].outcome(pyfuncitem.nodeid)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if PIPE in os.environ:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        row = {"name": report.nodeid, "when": report.when, "outcome": report.outcome, "text": text}
        row |= {"cpu": report.cpu}
        os.write(int(os.environ[PIPE]), f"{json.dumps(row)}\n".encode())


def pytest_sessionfinish(session: pytest.Session) -> None:
    if second := session.stash.get(SECOND, None):
        second.process.kill()
        second.process.wait()
        second.pipe.close()
        second.output.close()


def _start(session: pytest.Session) -> Second:
    here = Path(__file__).parent
    names = [item.nodeid for item in session.items if item.path.parent == here]
    receiving, sending = os.pipe()
    output = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-m", "", *names],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": f"{FLAGS} {DEVICES}", PIPE: str(sending)},
        pass_fds=(sending,),
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    os.close(sending)
    return Second(process, os.fdopen(receiving), output)
