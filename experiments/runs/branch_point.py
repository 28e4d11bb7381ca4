"""Where a run begins: at its first step, or with the checkpoint of the run that it goes on from.

The checkpoint and the rows before it are copied when the run is first claimed. The copy takes its
name last, in one move, so that a run has all of it or begins again; and from there on the run's
folder is like any other. What cannot be copied whole is no loss but of time: the run then trains
from its first step, and comes to the same.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments import record
from experiments.record import CHECKPOINTS, CONFIG, FINISHED, METRICS, DamagedError
from experiments.runs.checksums import damage, is_sealed
from experiments.runs.job import Job
from scaling.common.errors import UserError

COPY = "taken_over"  # the checkpoint while it is copied

Parent = dict[str, Any]  # run_id and step


def is_ready(job: Job) -> bool:
    """Whether it can begin: the checkpoint that it goes on from is there, or will never be."""
    origin = job.run.origin
    if origin is None or _is_begun(job.folder):
        return True
    source = _source(job)
    return is_sealed(_checkpoint(source, origin.step)) or record.run_status(source) in FINISHED


def take_over(job: Job) -> str | None:
    """Begin a run that has no checkpoint yet; for the owner of its claim.

    Returns:
        where nothing could be taken over: why, in one line.
    """
    origin = job.run.origin
    if origin is None or _is_begun(job.folder):
        return None
    for name in (CONFIG, METRICS):  # of an attempt that came to nothing
        (job.folder / name).unlink(missing_ok=True)
    source, copy = _source(job), job.folder / COPY
    shutil.rmtree(copy, ignore_errors=True)
    rows = _rows(source, origin.step)
    reason = _copy(_checkpoint(source, origin.step), copy)
    if reason is None and (not rows or rows[-1]["step"] != origin.step):
        reason = f"{METRICS} does not reach step {origin.step}"
    if reason is not None:
        shutil.rmtree(copy, ignore_errors=True)
        status = record.run_status(source)
        return f"{job.folder}: begins at step 0; of {source}, which is {status}, {reason}"
    record.rewrite_rows(job.folder / METRICS, rows)
    (job.folder / CHECKPOINTS).mkdir(exist_ok=True)
    copy.rename(_checkpoint(job.folder, origin.step))
    return None


def parent(job: Job) -> Parent | None:
    """Of what run and step the checkpoint was taken over, as the record tells.

    Before there is a config.json, the row of that step tells: it is the other run's own, wall time
    included.
    """
    origin = job.run.origin
    if origin is None:
        return None
    if (job.folder / CONFIG).exists():
        found: Parent | None = record.read_json(job.folder / CONFIG)["parent"]
        return found
    ours, theirs = (_rows(folder, origin.step)[-1:] for folder in (job.folder, _source(job)))
    return (
        {"run_id": origin.parent.run_id, "step": origin.step} if ours and ours == theirs else None
    )


def _copy(checkpoint: Path, copy: Path) -> str | None:
    """Copy it, and say what is wrong with the copy."""
    if not is_sealed(checkpoint):
        return f"checkpoint {checkpoint.name} is missing"
    try:
        shutil.copytree(checkpoint, copy)
    except OSError as error:
        raise UserError(f"{copy}: cannot copy {checkpoint} ({error}); make room") from error
    found = damage(copy)
    return found and f"checkpoint {checkpoint.name} is damaged: {found}"


def _rows(folder: Path, last: int) -> list[dict[str, Any]]:
    """Up to a step; none where the file is damaged."""
    with suppress(DamagedError):
        return [row for row in record.read_rows(folder / METRICS) if row["step"] <= last]
    return []


def _is_begun(folder: Path) -> bool:
    """Whether it has a checkpoint, and so needs none from elsewhere."""
    return any(path.name.isdecimal() for path in (folder / CHECKPOINTS).glob("*"))


def _source(job: Job) -> Path:
    """The folder of the run that it goes on from, beside its own."""
    assert job.run.origin is not None
    return job.folder.parent / job.run.origin.parent.run_id


def _checkpoint(folder: Path, step: int) -> Path:
    return folder / CHECKPOINTS / str(step)
