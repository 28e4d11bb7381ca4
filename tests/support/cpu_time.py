"""CPU time of the tests, in the closing lines: its sum beside the bound, and who takes the most.

It counts a process and the children that it has waited for, so a busy machine makes no test look
long. No test fails by its time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

BOUND = 1800.0  # of all default tests: 15 minutes on two cores
LONG = 15.0  # of one test with the fixtures that it makes first


@dataclass
class Clock:
    """CPU time since the last look, with what other processes told."""

    last: float = field(default_factory=lambda: sum(os.times()[:4]))
    told: float = 0.0

    def lap(self) -> float:
        now, told = sum(os.times()[:4]), self.told
        found, self.last, self.told = now - self.last + told, now, 0.0
        return found


CLOCK = Clock()
TOTALS: Counter[str] = Counter()


def pytest_runtest_logstart() -> None:
    CLOCK.lap()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Each report says the time of its phase, whichever process reads it."""
    report = yield
    report.cpu = CLOCK.lap()
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TOTALS[report.nodeid] += getattr(report, "cpu", 0.0)  # none of a worker that crashed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rooms: Counter[str] = Counter()
    for name, seconds in TOTALS.items():
        rooms[name.removeprefix("tests/").partition("::")[0].partition("/")[0]] += seconds
    each = ", ".join(f"{room} {seconds:.0f}" for room, seconds in rooms.most_common())
    terminalreporter.write_line(
        f"CPU time: {TOTALS.total():.0f} s; all default tests have {BOUND:.0f} s ({each})"
    )
    for name, seconds in TOTALS.most_common():
        if seconds > LONG:
            terminalreporter.write_line(
                f"CPU time: {seconds:.0f} s of {name}: make it smaller, or mark it slow"
            )
