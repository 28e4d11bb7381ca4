from __future__ import annotations

import io
import math

import pytest
import tiny
from rich.console import Console

from experiments.plan.branching import branch, trunk
from experiments.plan.run import Continued, Run
from experiments.record import Status, StudyPart
from experiments.runs.job import Event
from experiments.sweep.progress import PLAIN_SECONDS, Progress, clock

RUNS = tiny.study("texts").part(StudyPart.FIT)
FIRST, SECOND, THIRD = (run.run_id for run in RUNS)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Clock()


def plain(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width)


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=30, color_system=None)


def text(console: Console) -> str:
    return console.file.getvalue()


def training(run_id: str, step: int) -> Event:
    return Event(run_id, "training", step, loss=2.3456, tokens_per_second=123_456.7)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0:00"),
        (59.6, "1:00"),
        (61, "1:01"),
        (3600, "1:00:00"),
        (90_061, "25:01:01"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_clock(seconds, expected):
    assert clock(seconds) == expected


def test_plain_line_says_it_all_and_never_wraps(time):
    console = plain(width=20)
    with Progress(RUNS, [], console, time) as progress:
        progress(training(FIRST, 5))
        time.now += PLAIN_SECONDS
        progress(training(FIRST, 25))
    lines = text(console).splitlines()
    assert len(lines) == 2
    for part in (
        FIRST,
        "6,192 params",
        "0.00M tokens",
        "lr 0.001",
        "training",
        "50%",
        "loss 2.346",
        "123,457",
    ):
        assert part in lines[1]
    assert lines[1].endswith("[0/3 runs, 0:31 left]")
    assert max(len(line) for line in lines) < 140


def test_plain_lines_come_every_few_seconds_for_each_run_and_always_at_its_end(time):
    console = plain()
    with Progress(RUNS, [], console, time) as progress:
        for step in range(1, 51):
            time.now += 0.2
            progress(training(FIRST, step))
            progress(training(SECOND, step))
        progress(Event(FIRST, Status.COMPLETED, 50, 2.0))
        progress(Event(SECOND, Status.DIVERGED, 7))
    lines = text(console).splitlines()
    assert sum("training" in line for line in lines) == 2 * (10 // int(PLAIN_SECONDS))
    assert "completed  100%  loss 2.000" in lines[-2]
    assert "[1/3 runs" in lines[-2]
    assert "diverged" in lines[-1]
    assert "[2/3 runs" in lines[-1]


def test_a_notebook_keeps_one_line_for_each_run(time):
    console = Console(file=io.StringIO(), width=80, force_jupyter=True)
    with console.capture() as kept, Progress(RUNS, [], console, time) as progress:
        for step in (1, 25):
            time.now += 2 * PLAIN_SECONDS
            progress(training(FIRST, step))
        progress(Event(FIRST, Status.COMPLETED, 50, 2.0))
    (line,) = kept.get().splitlines()
    assert "completed  100%  loss 2.000" in line


def test_time_left_is_work_left_at_the_speed_so_far(time):
    progress = Progress(RUNS, [], plain(), time)
    assert math.isnan(progress.seconds_left())
    progress(Event(FIRST, "compiling"))
    time.now += 60  # the first compilation tells nothing of the speed
    progress(training(FIRST, 5))
    assert math.isnan(progress.seconds_left())
    time.now += 8
    progress(training(FIRST, 25))  # two fifths of one of three equal runs; 2.5 are left
    assert progress.seconds_left() == pytest.approx(50)
    time.now += 10
    progress(Event(FIRST, Status.COMPLETED, 50, 2.0))
    assert progress.seconds_left() == pytest.approx(40)
    progress(Event(SECOND, Status.DIVERGED, 3))  # a run that ended early leaves no work
    progress(Event(THIRD, Status.FAILED))
    assert progress.seconds_left() == 0


def test_what_earlier_calls_did_is_not_counted_as_speed(time):
    progress = Progress(RUNS, [FIRST], plain(), time)
    progress(Event(SECOND, "compiling"))
    progress(Event(SECOND, "compiling", 30))  # resumed at three fifths
    progress(training(SECOND, 35))
    assert math.isnan(progress.seconds_left())
    time.now += 6
    progress(Event(THIRD, "compiling", 40))
    progress(training(SECOND, 40))  # a tenth of a run in six seconds; 0.4 runs are left
    assert progress.seconds_left() == pytest.approx(24)


def test_what_is_taken_over_is_no_work(time):
    """A branch of half a run, and its trunk of that half: one run in all."""
    flat = ("schedule.name=wsd", "schedule.warmup_fraction=0.0")
    base = tiny.config(*flat, "execution.steps_per_dispatch=5")
    tokens = base.science.tokens
    stem = trunk(base, [tokens], 0.5)
    leaf = branch(stem, tokens, 0.5)
    first = Run(stem, 0, StudyPart.TRUNK)
    runs = [first, Run(leaf, 0, beginning=Continued(first, stem.science.steps))]
    progress = Progress(runs, [], plain(), time)
    progress(training(runs[0].run_id, 5))
    time.now += 10
    progress(training(runs[0].run_id, 15))
    assert progress.seconds_left() == pytest.approx(35)  # and 10 + 25 steps left


def test_interrupted_run_is_not_shown_as_ended(time):
    console = terminal()
    with Progress(RUNS, [], console, time) as progress:
        progress(training(FIRST, 8))
        progress(Event(FIRST, Status.STARTED, 8))
        shown = text(console).splitlines()[-1]
    assert FIRST not in shown
    assert "0/3 runs" in shown


def test_terminal_shows_a_table_of_the_active_runs(time):
    console = terminal()
    with Progress(RUNS, [THIRD], console, time) as progress:
        progress(training(FIRST, 25))
        progress(Event(SECOND, "evaluating", 50))
        drawn = text(console)
        progress(Event(SECOND, Status.COMPLETED, 50, 2.125))
    last = drawn[drawn.rindex("tokens/s") :]
    assert FIRST in last
    assert "50%" in last
    assert "2.346" in last
    assert "123,457" in last
    assert "evaluating" in last
    assert "1/3 runs" in last
    line = next(line for line in text(console).splitlines() if "completed" in line)
    assert SECOND in line
    assert "loss 2.125" in line
