"""Progress by a clock that the test moves."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from scaling.common import progress
from scaling.common.progress import Progress


class Clock:
    """A timer that rings when the test says so."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self.seconds, self.ring = seconds, ring
        self.state = "made"

    def start(self) -> None:
        self.state = "running"

    def cancel(self) -> None:
        self.state = "stopped"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[Clock]:
    monkeypatch.setattr(progress, "PATIENCE", 2.0)
    return []


def made(clock: list[Clock]) -> Progress:
    def timer(seconds: float, ring: Callable[[], None]) -> Clock:
        clock.append(Clock(seconds, ring))
        return clock[-1]

    return Progress("working", timer)


def test_the_clock_starts_with_the_work_and_tells_the_present_task(clock, capsys):
    told = made(clock)
    assert (clock[0].seconds, clock[0].state) == (2.0, "made")
    with told as say:
        assert clock[0].state == "running"
        say("reading")
        say("fitting")
        assert capsys.readouterr().err == ""  # not two seconds yet
        clock[0].ring()
        assert capsys.readouterr().err == "  fitting\n"
        say("drawing", 2, 7)
        assert capsys.readouterr() == ("", "  drawing (2 of 7)\n")
    assert clock[0].state == "stopped"


def test_a_command_without_tasks_is_heard_of_too(clock, capsys):
    with made(clock):
        clock[0].ring()
    assert capsys.readouterr().err == "  working\n"


def test_a_command_with_a_display_of_its_own_is_left_alone(clock, capsys):
    with made(clock) as say:
        clock[0].ring()
        say.stop()
        capsys.readouterr()
        say("drawing")
        assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_that_output_takes_off(clock, capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with made(clock) as say:
        say("drawing", 2, 7)
        clock[0].ring()
        assert "drawing" in capfd.readouterr().err
        say.clear()
        said = sys.stdout
        print("the answer")
        assert sys.stdout is said and capfd.readouterr().out == "the answer\n"
        say("writing", 3, 7)
        assert "writing" in capfd.readouterr().err
