"""Runs that are trained elsewhere, followed by their records: the events that a worker tells."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import record
from experiments.record import ENDED, FINISHED, Status
from experiments.runs.job import Event, Job

TAIL = 4096  # bytes: the last rows, however long the file


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
            if event is None or event == before:
                continue
            if before is None and event.step:  # what earlier calls had done
                self.watch(Event(job.run.run_id, "compiling", event.step))
            self._told[job.run.run_id] = event
            self.watch(event)


def _event(job: Job) -> Event | None:
    """How the run stands by its record, None before it has begun."""
    run_id, status = job.run.run_id, record.run_status(job.folder)
    if status is Status.MISSING:
        return None
    rows = _last_rows(job.folder / record.METRICS)
    step = rows[-1]["step"] if rows else 0
    if status in ENDED:
        return Event(run_id, status, step)
    if not rows:
        return Event(run_id, "compiling")
    return Event(run_id, "training", step, _number(rows[-1]["loss"]), _rate(rows))


def _last_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of training at the end of a file of any length; damage is for who trains the run."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - TAIL)
        file.seek(start)
        lines = file.read().split(b"\n")[start > 0 : -1]
    rows = []
    for line in lines:
        with suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict) and "loss" in row]


def _rate(rows: list[dict[str, Any]]) -> float:
    """Tokens per second between the last two rows."""
    if len(rows) < 2:
        return math.nan
    before, last = rows[-2:]
    seconds = last["seconds"] - before["seconds"]
    return (last["tokens"] - before["tokens"]) / seconds if seconds > 0 else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value
