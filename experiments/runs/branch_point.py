"""Branch point of a run: its first step, or the checkpoint of a parent that it continues.

The first owner of the run copies the checkpoint and the rows of training before it: the parent's
validations were due at other steps. The copy takes its name last, in one move, so a run has all of
it or begins again. Without a whole copy the run trains from its first step and reaches the same
result.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from experiments import record
from experiments.plan.run import Derived
from experiments.record import (
    CHECKPOINTS,
    CONFIG,
    FINISHED,
    METRICS,
    DamagedError,
    MetricsRow,
    Parent,
    RunRecord,
)
from experiments.runs.checksums import damage, is_sealed, named_by_step
from experiments.runs.job import Job
from scaling.common.errors import UserError

COPY = "taken_over"  # name of the checkpoint while it is copied


def is_ready(job: Job) -> bool:
    """Tell if the run can begin: its parents' checkpoints exist, or never will."""
    origin = job.run.origin
    if _is_begun(job.folder):
        return True
    if origin is None:
        folders = (job.folder.parent / parent.run_id for parent in job.run.beginning.parents)
        return all(record.run_status(folder) in FINISHED for folder in folders)
    source = _source(job)
    return is_sealed(_checkpoint(source, origin.step)) or record.run_status(source) in FINISHED


def take_over(job: Job) -> str | None:
    """Copy the parent's checkpoint and rows into a run without checkpoints; for its owner.

    Returns:
        None, or the reason, in one line, why nothing could be copied.
    """
    origin = job.run.origin
    if origin is None or _is_begun(job.folder):
        return None
    forget(job)  # an attempt without a checkpoint
    source, copy = _source(job), job.folder / COPY
    shutil.rmtree(copy, ignore_errors=True)
    rows = _rows(source, origin.step)
    reason = _copy(_checkpoint(source, origin.step), copy)
    if reason is None and (not rows or rows[-1].step != origin.step):
        reason = f"{METRICS} does not reach step {origin.step}"
    if reason is not None:
        shutil.rmtree(copy, ignore_errors=True)
        status = record.run_status(source)
        return f"{job.folder}: begins at step 0; of {source}, which is {status}, {reason}"
    record.rewrite_rows(job.folder / METRICS, rows)
    (job.folder / CHECKPOINTS).mkdir(exist_ok=True)
    copy.rename(_checkpoint(job.folder, origin.step))
    return None


def forget(job: Job) -> None:
    """Remove the beginning of a record that names a parent: no checkpoint of it is left."""
    for name in (CONFIG, METRICS):
        (job.folder / name).unlink(missing_ok=True)


def parents(job: Job) -> tuple[Parent, ...]:
    """Name the runs that a run begins from; none where it should continue one and has no copy.

    Before config.json exists, the row of that step shows the copy: it has the parent's wall time.
    """
    origin = job.run.origin
    if origin is None:
        beginning = job.run.beginning
        found = beginning.sources if isinstance(beginning, Derived) else ()
        return tuple(Parent(run_id=run.run_id, step=step) for run, step in found)
    if (job.folder / CONFIG).exists():
        return record.read(job.folder, RunRecord).parents
    ours, theirs = (_rows(folder, origin.step)[-1:] for folder in (job.folder, _source(job)))
    begun = ours and ours == theirs
    return (Parent(run_id=origin.parent.run_id, step=origin.step),) if begun else ()


def _copy(checkpoint: Path, copy: Path) -> str | None:
    """Copy a checkpoint; the damage of the copy in words, or None."""
    if not is_sealed(checkpoint):
        return f"checkpoint {checkpoint.name} is missing"
    try:
        shutil.copytree(checkpoint, copy)
    except OSError as error:
        raise UserError(f"{copy}: cannot copy {checkpoint} ({error}); make room") from error
    found = damage(copy)
    return found and f"checkpoint {checkpoint.name} is damaged: {found}"


def _rows(folder: Path, last: int) -> list[MetricsRow]:
    """The rows of training up to a step; none where the file is damaged."""
    with suppress(DamagedError):
        rows = record.read_rows(folder / METRICS)
        return [row for row in rows if row.step <= last and row.seconds is not None]
    return []


def _is_begun(folder: Path) -> bool:
    """Tell if the run has a checkpoint, and needs none of a parent."""
    return bool(named_by_step(folder / CHECKPOINTS))


def _source(job: Job) -> Path:
    """The parent's folder, beside the run's own."""
    assert job.run.origin is not None
    return job.folder.parent / job.run.origin.parent.run_id


def _checkpoint(folder: Path, step: int) -> Path:
    return folder / CHECKPOINTS / str(step)
