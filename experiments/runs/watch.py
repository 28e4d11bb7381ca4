"""Follower of runs trained elsewhere: events made from their records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from experiments import record
from experiments.record import ENDED, FINISHED, MetricsRow, Status
from experiments.runs.claim import STALE, holder
from experiments.runs.job import Event, Job


@dataclass
class Follower:
    """Sends an event for each change of a run's record since the last look."""

    watch: Callable[[Event], None]
    _sent: dict[str, Event] = field(default_factory=dict)
    _waited_for: set[str] = field(default_factory=set)

    def pass_over_failures(self, jobs: Iterable[Job]) -> None:
        """Send no event for failures before this call: these runs are retried."""
        for job in jobs:
            event = _event(job)
            if event is not None and event.phase is Status.FAILED:
                self._sent[job.run.run_id] = event

    def wait(self, jobs: Iterable[Job]) -> None:
        """Send a note on each owner that these jobs wait for, once."""
        owners: dict[str, tuple[str, list[str]]] = {}
        for job in jobs:
            if (found := holder(job.folder)) is not None:
                owners.setdefault(found.name, (found.heard, []))[1].append(job.run.run_id)
        for name in owners.keys() - self._waited_for:
            heard, runs = owners[name]
            more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
            note = (
                f"waiting for run {runs[0]}{more}: held by {name}, last heard {heard}; free "
                f"when it ends, or after {STALE:.0f} seconds of silence"
            )
            before = self._sent.get(runs[0])
            step = 0 if before is None else before.step
            self.watch(Event(runs[0], Status.STARTED, step, note=note))
        self._waited_for |= owners.keys()

    def look(self, jobs: Iterable[Job]) -> None:
        """Read the records, and send an event for each change."""
        for job in jobs:
            before = self._sent.get(job.run.run_id)
            if before is not None and before.phase in FINISHED:
                continue
            event = _event(job)
            if event is None or event == before:
                continue
            if before is None and event.step:  # done by earlier calls
                self.watch(Event(job.run.run_id, "compiling", event.step))
            self._sent[job.run.run_id] = event
            self.watch(event)


def _event(job: Job) -> Event | None:
    """Make an event of the run's record; None before it has begun."""
    run_id, status = job.run.run_id, record.run_status(job.folder)
    if status is Status.MISSING:
        return None
    newest = record.newest_rows(job.folder / record.METRICS)
    rows = list(islice((row for row in newest if row.seconds is not None), 2))
    step = rows[0].step if rows else 0
    if status in ENDED:
        return Event(run_id, status, step)
    if not rows:
        return Event(run_id, "compiling")
    return Event(run_id, "training", step, rows[0].loss, _rate(rows))


def _rate(rows: list[MetricsRow]) -> float:
    """Tokens per second between the newest two rows of training."""
    if len(rows) < 2:
        return math.nan
    last, before = rows
    assert before.seconds is not None
    assert last.seconds is not None
    seconds = last.seconds - before.seconds
    return (last.tokens - before.tokens) / seconds if seconds > 0 else math.nan
