"""Parents and children in a sweep: what a failed parent ends, and which checkpoints are free to go.

A derived run cannot begin from a parent that failed or diverged; it is recorded as failed by that,
and so are its own children. Checkpoints of a completed run with `execution.unneeded=freed` stay
until every child of the study has ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from experiments.launchers._worker import give_up
from experiments.plan.run import Derived, Run
from experiments.record import CHECKPOINTS, FINISHED, Status
from experiments.runs.job import Event, Job

GOING = f"{CHECKPOINTS}.freed"  # name of a folder of checkpoints on its way out


def fail_orphans(
    jobs: Sequence[Job], status: Callable[[Run], Status], watch: Callable[[Event], None]
) -> list[Job]:
    """The jobs without those whose parent has failed for good, which are recorded as failed."""
    left = list(jobs)
    while orphans := [(job, line) for job in left if (line := _orphaned(job.run, left, status))]:
        for job, line in orphans:
            give_up(job, line)
            watch(Event(job.run.run_id, Status.FAILED))
        gone = {job.run.run_id for job, _ in orphans}
        left = [job for job in left if job.run.run_id not in gone]
    return left


def line_of(parent: Run, status: Status) -> str:
    """The line of a run whose parent has not completed."""
    return f"cannot begin, for its parent {parent.run_id} {status}"


def free(folder: Path, runs: Iterable[Run], status: Callable[[Run], Status]) -> None:
    """Remove the checkpoints that no run of the study needs any more."""
    runs = tuple(runs)
    needed = {
        parent.run_id
        for run in runs
        if status(run) not in FINISHED
        for parent in run.beginning.parents
    }
    for run in runs:
        if run.config.execution.unneeded == "freed" and run.run_id not in needed:
            checkpoints = folder / run.run_id / CHECKPOINTS
            if checkpoints.exists() and status(run) is Status.COMPLETED:
                checkpoints.rename(going := checkpoints.with_name(GOING))
                shutil.rmtree(going)


def _orphaned(run: Run, jobs: Iterable[Job], status: Callable[[Run], Status]) -> str:
    """The line of a run that cannot begin; else nothing."""
    coming = {job.run.run_id for job in jobs}
    for parent in run.beginning.parents:
        if parent.run_id not in coming and (found := status(parent)) in _bad(run):
            return line_of(parent, found)
    return ""


def _bad(run: Run) -> tuple[Status, ...]:
    """Ends of a parent that leave the run nothing; a branch can train its first steps itself."""
    if isinstance(run.beginning, Derived):
        return (Status.FAILED, Status.DIVERGED)
    return (Status.FAILED,)
