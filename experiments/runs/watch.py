"""Follower of runs trained elsewhere: events made from their records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from experiments import record
from experiments.record import ENDED, FINISHED, MetricsRow, Status
from experiments.runs.job import Event, Job


@dataclass
class Follower:
    """Sends an event for each change of a run's record since the last look."""

    watch: Callable[[Event], None]
    _sent: dict[str, Event] = field(default_factory=dict)

    def pass_over_failures(self, jobs: Iterable[Job]) -> None:
        """Send no event for failures before this call: these runs are retried."""
        for job in jobs:
            event = _event(job)
            if event is not None and event.phase is Status.FAILED:
                self._sent[job.run.run_id] = event

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
    rows = [row for row in record.last_rows(job.folder / record.METRICS) if row.seconds is not None]
    step = rows[-1].step if rows else 0
    if status in ENDED:
        return Event(run_id, status, step)
    if not rows:
        return Event(run_id, "compiling")
    return Event(run_id, "training", step, rows[-1].loss, _rate(rows))


def _rate(rows: list[MetricsRow]) -> float:
    """Tokens per second between the last two rows of training."""
    if len(rows) < 2:
        return math.nan
    before, last = rows[-2:]
    assert before.seconds is not None
    assert last.seconds is not None
    seconds = last.seconds - before.seconds
    return (last.tokens - before.tokens) / seconds if seconds > 0 else math.nan
