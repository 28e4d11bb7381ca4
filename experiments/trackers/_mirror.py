"""The mirror: reads the records of a study and sends a tracker its missing points.

It runs beside the training, never in it, or later, or elsewhere. It holds a claim on the tracker's
folder in the study's folder, so no two processes send a point.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from experiments import record, trackers
from experiments.config.fields import flat
from experiments.devices.machine import redirect_output
from experiments.devices.signals import handle_stop_signals, stop_signals_blocked
from experiments.record import (
    ENDED,
    FINISHED,
    DamagedError,
    MetricsRow,
    RunRecord,
    RunSummary,
    Status,
    StudyPlan,
)
from experiments.runs.claim import ClaimLostError, take_patiently
from experiments.trackers import Ending, Header, Held, Session, TrackedStep, Tracker
from scaling.common.errors import UserError

LOOK_AGAIN = 2.0  # seconds between two looks at the records
GRACE = 5.0  # seconds that mirrors have to finish after their sweep
NICE = 10  # niceness: training goes first where both want a core
LOG = "mirror.log"


def forever() -> Iterator[None]:
    """Endless looks, `LOOK_AGAIN` seconds apart."""
    while True:
        yield
        time.sleep(LOOK_AGAIN)


def mirror(folder: Path, name: str, looks: Iterable[object]) -> int:
    """Send new points at each of these looks, until all planned runs have ended.

    Returns:
        the number of points sent.

    Raises:
        UserError: no such tracker, its service refuses, another mirror runs, or a record is
            damaged. Points already sent count; the same call continues.
    """
    service = trackers.load(name)
    study, place = record.read(folder, StudyPlan).name, folder / name
    claim = take_patiently(place)
    if claim is None:
        raise UserError(f"{place}: another process mirrors this study; wait until it has ended")
    with claim, _in_one_line(name, OSError, ClaimLostError, *service.errors()):
        with _Mirror(folder, service.tracker(place, study)) as sender:
            for _ in looks:
                claim.check()
                if sender.look():
                    break
        if sender.damaged:
            raise sender.damaged[0]
        return sender.sent


@contextmanager
def beside(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Mirror to these trackers meanwhile, each in a process, which may fail or hang.

    At the end each has `GRACE` seconds for the rest, or none on KeyboardInterrupt.
    """
    grace, started = GRACE, {name: _start(folder, name) for name in names}
    try:
        yield
    except KeyboardInterrupt:
        grace = 0.0
        raise
    finally:
        for _, pipe in started.values():
            pipe.close()  # no more records will come
        deadline = time.monotonic() + grace
        try:
            for process, _ in started.values():
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for name, (process, _) in started.items():
                process.kill()
                process.join()
                if process.exitcode != 0:
                    again = f"windtunnel mirror {folder} --tracker {name}"
                    late = f"{name} may lack the last points, its mirror had {grace:g} s for them"
                    failed = f"not all is in {name} yet ({folder / LOG})"
                    was_ended = process.exitcode == -signal.SIGKILL
                    print(f"{late if was_ended else failed}: {again}", file=sys.stderr)


def _start(folder: Path, name: str) -> tuple[SpawnProcess, Connection]:
    """A process that mirrors until the pipe closes; stop signals are blocked until it is ready."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_accompany, args=(theirs, folder, name), daemon=True)
    with stop_signals_blocked():
        process.start()
    theirs.close()
    return process, ours


def _accompany(pipe: Connection, folder: Path, name: str) -> None:
    """The main function of the mirror's process."""
    handle_stop_signals(lambda number: None)  # the sweep gets them too, and ends this process
    os.nice(NICE)
    redirect_output(folder / LOG)

    def looks() -> Iterator[None]:
        while not pipe.poll(LOOK_AGAIN):
            yield
        yield

    try:
        if any((folder / record.STUDY).exists() for _ in looks()):
            mirror(folder, name, looks())
    except UserError as error:
        sys.exit(f"{name}: {error}")


@contextmanager
def _in_one_line(name: str, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        what, _, _ = str(error).partition("\n")
        raise UserError(f"{name}: {what}; mirror again to continue") from error


@dataclass
class _Mirror:
    """A study's records, and the state of its runs at a service; a context."""

    folder: Path
    tracker: Tracker
    sent: int = 0
    damaged: list[DamagedError] = field(default_factory=list)  # as of the last look
    _held: dict[str, Held] = field(default_factory=dict)
    _open: dict[str, Session] = field(default_factory=dict)

    def __enter__(self) -> _Mirror:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._open.values():
            session.close()

    def look(self) -> bool:
        """Send new points; return whether every planned run has ended."""
        self.damaged.clear()
        planned = record.read(self.folder, StudyPlan).runs
        ended = [self._bring(self.folder / run.run_id) for run in planned]
        return all(ended)

    def _bring(self, run: Path) -> bool:
        """Send new points of one run; return whether it has ended."""
        status = record.run_status(run)  # before the rows: of an ended run they are complete
        if status is Status.MISSING:
            return False
        if run.name not in self._held:
            self._held[run.name] = self.tracker.held(run.name)
        try:
            self._send(run, status)
        except DamagedError as error:  # the run's worker moves it aside
            self.damaged.append(error)
            return False
        return status in ENDED

    def _send(self, run: Path, status: Status) -> None:
        held, ended = self._held[run.name], status in ENDED
        if status in FINISHED and held.status is status:
            return
        points = _points(run, ended)
        if any(point.step > held.step for point in points) or (ended and held.status is not status):
            if run.name not in self._open:
                self._open[run.name] = self.tracker.open(_header(run))
            session = self._open[run.name]
            new = [point for point in points if point.step > session.step]
            session.add(new)
            self.sent += len(new)
            if ended:
                session.end(_ending(run))
            self._held[run.name] = Held(session.step, status)
        if ended and run.name in self._open:
            self._open.pop(run.name).close()


def _header(run: Path) -> Header:
    config = record.read(run, RunRecord)
    return Header(
        run_id=config.run_id,
        study=config.study,
        part=config.part,
        rung=config.rung,
        config={name: record.scalar(value) for name, value in flat(config.science)},
        begin=(run / record.CONFIG).stat().st_mtime,
    )


def _points(run: Path, ended: bool) -> list[TrackedStep]:
    """The rows of each step in one; before the end without the last step, which may grow.

    A sent step never changes: a run that continues from an earlier checkpoint rewrites the row with
    the same values.
    """
    begin, seconds = (run / record.CONFIG).stat().st_mtime, 0.0
    points: dict[int, TrackedStep] = {}
    for row in record.read_rows(run / record.METRICS):
        seconds = seconds if row.seconds is None else row.seconds
        earlier = points[row.step].values if row.step in points else {}
        points[row.step] = TrackedStep(row.step, begin + seconds, {**earlier, **_values(row)})
    return list(points.values())[: None if ended else -1]


def _values(row: MetricsRow) -> dict[str, float]:
    """Numbers of a row by name; NaN for a mean that was not finite."""
    found = {name: math.nan if value is None else value for name, value in row.metrics.items()}
    timed = {} if row.seconds is None else {"seconds": row.seconds}
    return {"tokens": row.tokens, **found, **timed}


def _ending(run: Path) -> Ending:
    summary = record.read(run, RunSummary)
    return Ending(
        summary.status,
        summary.message,
        (run / record.SUMMARY).stat().st_mtime,
        {f"summary/{name}": value for name, value in summary.numbers().items()},
    )
