"""Runs that are trained elsewhere, followed by their records: the events that a worker tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from experiments import record
from experiments.job import Event, Job
from experiments.record import ENDED, FINISHED, Status


@dataclass
class Follower:
    """Tells of each run what is new in its record since the last look."""

    watch: Callable[[Event], None]
    _told: dict[str, Event] = field(default_factory=dict)

    def pass_over_failures(self, jobs: Iterable[Job]) -> None:
        """What failed before is tried again: of these runs only what comes from now on is news."""
        for job in jobs:
            event = _event(job)
            if event is not None and event.phase is Status.FAILED:
                self._told[job.run.run_id] = event

    def look(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            before = self._told.get(job.run.run_id)
            if before is not None and before.phase in FINISHED:
                continue
            event = _event(job)
            if event is not None and event != before:
                self._told[job.run.run_id] = event
                self.watch(event)


def _event(job: Job) -> Event | None:
    """How the run stands by its record, None before it has begun."""
    run_id, status = job.run.run_id, record.run_status(job.folder)
    if status is Status.MISSING:
        return None
    rows = [row for row in record.read_rows(job.folder / record.METRICS) if "loss" in row]
    step = rows[-1]["step"] if rows else 0
    if status in ENDED:
        return Event(run_id, status, step)
    if not rows:
        return Event(run_id, "compiling")
    return Event(run_id, "training", step, _number(rows[-1]["loss"]), _rate(rows))


def _rate(rows: list[dict[str, float]]) -> float:
    """Tokens per second between the last two rows."""
    if len(rows) < 2:
        return math.nan
    before, last = rows[-2:]
    seconds = last["seconds"] - before["seconds"]
    return (last["tokens"] - before["tokens"]) / seconds if seconds > 0 else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value
