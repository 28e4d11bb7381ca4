"""Studies of data written from known truth: a row for each run, and its record on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import records

from experiments import record


@dataclass(frozen=True)
class Row:
    """One finished run: its label, measurements, and the settings of its data."""

    label: str
    metrics: Mapping[str, Any]
    seed: int = 0
    params: int = 1000
    data: Mapping[str, Any] = field(default_factory=dict)


def write(folder: Path, reading: str, rows: Sequence[Row], loss: str = "loss") -> Path:
    """A study of these runs."""
    plan = []
    for k, row in enumerate(rows):
        counts = {"params_total": row.params, "tokens": 1e6, "flops_6nd": 6e6 * row.params}
        plan.append(records.planned(f"run{k}", label=row.label, **counts))
        summary = records.run_summary(
            f"run{k}",
            metrics=row.metrics,
            study=reading,
            label=row.label,
            science={"seed": row.seed, "data": dict(row.data)},
            accounting=counts,
        )
        record.write(folder / f"run{k}", summary)
    record.write(folder, records.plan(reading, plan, reading=reading, loss=loss))
    return folder
