"""Records built from their types, for tests that need runs without training them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from experiments import record
from experiments.record import (
    Environment,
    Measured,
    MetricsRow,
    PlannedRun,
    RunRecord,
    RunSummary,
    Status,
    StudyPart,
    StudyPlan,
)

ENVIRONMENT = Environment(
    cpus=2, python="3.11", jax="0.10", code="deadbeef", device="cpu", members=1
)


def run_record(run_id: str = "run", **fields: Any) -> RunRecord:
    """config.json of a run with these fields."""
    return RunRecord(run_id=run_id, **{**_head(), **fields})


def run_summary(
    run_id: str = "run",
    status: Status = Status.COMPLETED,
    metrics: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RunSummary:
    """summary.json of a run with these fields; `metrics` are those of `Measured`."""
    return RunSummary(
        run_id=run_id,
        status=Status(status),
        metrics=Measured(**metrics or {}),
        **{"environment": ENVIRONMENT, **_head(), **fields},
    )


def _head() -> dict[str, Any]:
    return {
        "study": "tiny",
        "part": StudyPart.FIT,
        "rung": 0,
        "science": {},
        "execution": {},
        "accounting": {},
    }


def training(
    step: int, loss: float | None, seconds: float, tokens: int | None = None, **means: float | None
) -> MetricsRow:
    """A row of training; without `tokens`, 64 a step."""
    seen = 64 * step if tokens is None else tokens
    return MetricsRow(step=step, tokens=seen, seconds=seconds, metrics={"loss": loss, **means})


def validation(step: int, loss: float, tokens: int | None = None) -> MetricsRow:
    """A row of validation; without `tokens`, 64 a step."""
    seen = 64 * step if tokens is None else tokens
    return MetricsRow(step=step, tokens=seen, metrics={"valid_loss": loss})


def planned(
    run_id: str, part: str = "fit", rung: int = 0, label: str = "", **accounting: float
) -> PlannedRun:
    """A run of a plan."""
    return PlannedRun(
        run_id=run_id, part=StudyPart(part), rung=rung, label=label, accounting=accounting
    )


def plan(name: str, runs: list[PlannedRun], **fields: Any) -> StudyPlan:
    """study.json with these runs; it fits no law unless `fields` name one."""
    defaults = {
        "question": "Which?",
        "law": None,
        "reading": "transfer",
        "loss": "loss",
        "params": "params_total",
        "tokens": "tokens",
        "corpora": {},
    }
    return StudyPlan(name=name, runs=tuple(runs), **{**defaults, **fields})


def change(folder: Path, kind: type[Any], **fields: Any) -> None:
    """Write a file of the record anew with these fields changed."""
    record.write(folder, msgspec.structs.replace(record.read(folder, kind), **fields))


def steps(folder: Path) -> list[int]:
    """The steps of a run's rows of training."""
    return [row["step"] for row in means(folder) if "loss" in row]


def untimed(folder: Path) -> RunSummary:
    """The summary of a run without its wall times, the commit, and the checksums that sum these."""
    found = record.read(folder, RunSummary)
    times = ("wall_seconds", "first_dispatch_seconds", "tokens_per_second")
    metrics = msgspec.structs.replace(found.metrics, **dict.fromkeys(times))
    environment = msgspec.structs.replace(found.environment, code="")
    return msgspec.structs.replace(found, metrics=metrics, environment=environment, files={})


def means(run: Path) -> list[dict[str, float | None]]:
    """The rows of a run as flat mappings without the wall time."""
    return [
        {"step": row.step, "tokens": row.tokens, **row.metrics}
        for row in record.read_rows(run / record.METRICS)
    ]
