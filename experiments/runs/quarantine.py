"""Quarantine: damaged files of a run's folder are moved aside, never overwritten.

Without its config or its summary a run continues from its checkpoint and writes them again. Without
rows its trajectory would have a gap: its checkpoints are moved too, and it starts anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments import record
from experiments.record import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    SUMMARY,
    DamagedError,
    RunRecord,
    RunSummary,
)

READERS: Mapping[str, Callable[[Path], Any]] = {
    CONFIG: lambda path: record.read_file(path, RunRecord),
    SUMMARY: lambda path: record.read_file(path, RunSummary),
    METRICS: lambda path: list(record.read_rows(path)),
}


def quarantine(run: Path) -> str | None:
    """Move damaged files aside, for the owner of the run's claim; one line about it, or None.

    Raises:
        UserError: another version wrote the record, or a field is not of its type: no damage.
    """
    damaged = [name for name in READERS if _is_damaged(run / name, READERS[name])]
    if METRICS not in damaged and _reach(run) < _newest(run):
        damaged.append(METRICS)
    if METRICS in damaged:
        damaged.append(CHECKPOINTS)
    found = [name for name in damaged if (run / name).exists()]
    if not found:
        return None
    aside = _fresh(run)
    for name in found:
        (run / name).rename(aside / name)
    again = "from its start" if METRICS in damaged else "from its last checkpoint"
    return f"{run}: {', '.join(found)} damaged, moved to {aside.name}; the run continues {again}"


def _is_damaged(path: Path, read: Callable[[Path], Any]) -> bool:
    try:
        if path.exists():
            read(path)
    except DamagedError:
        return True
    return False


def _reach(run: Path) -> int:
    """The step of the last row."""
    return max((row.step for row in record.read_rows(run / METRICS)), default=0)


def _newest(run: Path) -> int:
    """The step of the newest checkpoint."""
    names = (path.name for path in (run / CHECKPOINTS).glob("*"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _fresh(run: Path) -> Path:
    folders = (run / f"quarantine.{number}" for number in itertools.count(1))
    folder = next(folder for folder in folders if not folder.exists())
    folder.mkdir()
    return folder
