"""The record: the only contract between training and analysis. Importable without JAX.

A study folder holds::

    study.json                 question, law, reading, and every planned run with its N, D and C
    prediction.json            written by analysis before any held-out run is trained
    search.json                of a search: its space and budgets, who was tried and how they scored
    workers.log                what libraries printed in the workers, for when one fails
    mirror.log                 the same of the mirrors beside a sweep
    tensorboard/ wandb/ mlflow/    what trackers have of it: experiments/trackers/
    slurm/                     what was submitted, and its logs: experiments/launchers/slurm.py
    <run_id>/config.json       science, execution, accounting, parent, and settings given by laws
    <run_id>/metrics.jsonl     append-only rows: step, tokens, loss, ... (trajectory)
    <run_id>/summary.json      atomic, last: status and every number that a fit may want
    <run_id>/checkpoints/      orbax
    <run_id>/claim.N           whose the run is: experiments/runs/claim.py
    <run_id>/quarantine.N/     what was damaged, moved aside before the run went on

The parent is the run, and the step of it, whose checkpoint and rows were taken over, or null: then
metrics.jsonl begins with rows of the parent, and `steps_trained`, `tokens_trained` and
`wall_seconds` of the summary are of this run's own training alone, to be summed over runs.

Losses are in nats per token unless the name says otherwise.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from scaling.common.errors import UserError

SCHEMA = 1
AGAIN = 75  # exit code of work to be gone on with: EX_TEMPFAIL, as launchers read it

STUDY, PREDICTION, SEARCH = "study.json", "prediction.json", "search.json"
CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
CHECKPOINTS = "checkpoints"
SCRATCH = ".tmp"  # how the name of a file ends that is being written


class Status(StrEnum):
    """How a run stands. The last three are written to the summary; the first two are inferred."""

    MISSING = "missing"  # no folder
    STARTED = "started"  # a config and no summary: running, or interrupted
    COMPLETED = "completed"
    DIVERGED = "diverged"  # the loss rose far beyond its start, or out of the finite numbers
    FAILED = "failed"  # an error of ours or of the machine, text in the summary


FINISHED = (Status.COMPLETED, Status.DIVERGED)  # for good
ENDED = (*FINISHED, Status.FAILED)  # there is a summary


class Part(StrEnum):
    """What a run is for: the fit sees the first kind only."""

    FIT = "fit"
    HELD_OUT = "held_out"
    TRUNK = "trunk"  # for others to go on from: it has had no cooldown, so its loss says little


class DamagedError(UserError):
    """A file of the record that cannot be what was written there."""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the disk refuses, in one clear line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot write ({error.strerror}); "
            "make room, or choose another folder with --out"
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write the whole file atomically: a reader sees the old one or the new one, never a part."""
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}{SCRATCH}")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # the name must not reach the disk before the content
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON file of the record, atomically."""
    _replace(path, json.dumps({"schema": SCHEMA, **value}, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON file of the record.

    Raises:
        UserError: it cannot be read, or another version wrote it; DamagedError: it is not JSON.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error
    except ValueError as error:
        raise DamagedError(f"{path}: not valid JSON ({error}); move the folder away") from error
    found = value.get("schema") if isinstance(value, dict) else None
    if found != SCHEMA:
        raise UserError(
            f"{path}: record schema {found}, this version reads {SCHEMA}; "
            "use another folder with --out, or move this one away"
        )
    return value


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def append_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append whole lines in one write, so that a kill leaves at most one torn last line."""
    text = _lines(rows)
    with _writing(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def rewrite_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the whole file with these rows, atomically."""
    _replace(path, _lines(rows))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a metrics file; a torn last line, the mark of a kill, is left out.

    Raises:
        DamagedError: a whole line is not a row.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DamagedError(
                        f"{path}:{number}: not valid JSON; delete the line"
                    ) from error
                if not isinstance(row, dict) or "step" not in row:
                    raise DamagedError(f"{path}:{number}: not a row of metrics; delete the line")
                yield row


def run_status(run: Path) -> Status:
    """The status of one run folder, from its files alone; a damaged summary is as good as none."""
    with suppress(DamagedError):
        if (run / SUMMARY).exists():
            return Status(read_json(run / SUMMARY)["status"])
    return Status.STARTED if (run / CONFIG).exists() else Status.MISSING
