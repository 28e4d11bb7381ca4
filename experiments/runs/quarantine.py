"""Quarantine: damaged files of a run's folder are moved aside, never overwritten.

Without its config or its summary a run continues from its checkpoint and writes them again. Without
rows or items its trajectory would have a gap: its checkpoints are moved too, and it starts anew.
Without a checkpoint it continues from the one before. The summary of an ended run goes with any
other file, whose checksum it holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from os.path import lexists
from pathlib import Path
from typing import Any

from experiments import record
from experiments.record import (
    CHECKPOINTS,
    CONFIG,
    EVALUATIONS,
    METRICS,
    SUMMARY,
    DamagedError,
    RunRecord,
    RunSummary,
)
from experiments.runs import checksums
from scaling.common.files import writing

# damage to these means a new start
START = (METRICS, CHECKPOINTS)

READERS: Mapping[str, Callable[[Path], Any]] = {
    CONFIG: lambda path: record.read_file(path, RunRecord),
    SUMMARY: lambda path: record.read_file(path, RunSummary),
    METRICS: lambda path: list(record.read_rows(path)),
}


def quarantine(run: Path) -> str | None:
    """Move damaged files aside, for the owner of the run's claim; one line about it, or None.

    Raises:
        UserError: another version wrote the record: no damage.
    """
    damaged = damage(run) | _checkpoints(run)
    begins_anew = any(name in START or name.startswith(f"{EVALUATIONS}/") for name in damaged)
    beside = [SUMMARY] if damaged else []
    beside += [METRICS, CHECKPOINTS] if begins_anew else []
    found = [name for name in dict.fromkeys([*damaged, *beside]) if lexists(run / name)]
    if not found:
        return None
    aside = move_aside(run, *(run / name for name in found))
    again = "from its last checkpoint" if _steps(run) else "from its beginning"
    moved = f"{', '.join(found)} moved to {aside.name}"
    return f"{run}: {', '.join(damaged.values())}: {moved}; the run continues {again}"


def move_aside(run: Path, *files: Path) -> Path:
    """Move files or folders into a new quarantine of the run, and name it.

    Raises:
        UserError: the disk refuses.
    """
    with writing(run):
        aside = _fresh(run)
        for file in files:
            file.rename(aside / file.name)
    return aside


def damage(run: Path) -> dict[str, str]:
    """Damaged files of a run, each with a phrase; of an ended run changed and missing ones too.

    Raises:
        UserError: another version wrote the record: no damage.
    """
    items = {
        path.relative_to(run).as_posix(): lambda path: list(record.read_items(path))
        for path in sorted((run / EVALUATIONS).glob("*.jsonl"))
    }
    found = _of_another(run)
    for name, read in {**READERS, **items}.items():
        if name not in found and (phrase := _phrase(run, name, read)):
            found[name] = phrase
    if METRICS not in found and _reach(run) < (newest := _newest(run)):
        found[METRICS] = f"{METRICS} ends before the checkpoint of step {newest}"
    if lexists(run / CHECKPOINTS) and not (run / CHECKPOINTS).is_dir():
        found[CHECKPOINTS] = f"{CHECKPOINTS} is no folder"
    for step in checksums.named_by_step(run / CHECKPOINTS):
        if not step.is_dir():
            found[f"{CHECKPOINTS}/{step.name}"] = f"{CHECKPOINTS}/{step.name} is no folder"
    with suppress(DamagedError):
        if (run / SUMMARY).exists() and SUMMARY not in found:
            changed = record.changed(run, record.read(run, RunSummary))
            found |= {name: f"{name} {how}" for name, how in changed.items() if name not in found}
    return found


def _of_another(run: Path) -> dict[str, str]:
    """All that a folder holds of a run whose id is not its name: it was copied, or renamed."""
    for name in (CONFIG, SUMMARY):
        if not (run / name).is_file():
            continue
        with suppress(DamagedError):
            theirs = READERS[name](run / name).run_id
            if not record.may_hold(run, theirs):
                held = (
                    each for each in (*READERS, EVALUATIONS, CHECKPOINTS) if lexists(run / each)
                )
                return {each: f"{each} is of run {theirs}" for each in held}
    return {}


def _phrase(run: Path, name: str, read: Callable[[Path], Any]) -> str | None:
    if not lexists(run / name):
        return None
    if not (run / name).is_file():
        return f"{name} is no file"
    try:
        read(run / name)
    except DamagedError as error:
        return str(error).removeprefix(f"{run}/").partition(";")[0]
    return None


def _checkpoints(run: Path) -> dict[str, str]:
    """Checkpoints that differ from their checksums, down to the newest that does not."""
    found = {}
    for step in sorted(_steps(run), reverse=True):
        name = f"{CHECKPOINTS}/{step}"
        if (how := checksums.damage(run / name)) is None:
            break
        found[name] = f"{name}/{how}"
    return found


def _reach(run: Path) -> int:
    """The step of the last row."""
    return max((row.step for row in record.read_rows(run / METRICS)), default=0)


def _newest(run: Path) -> int:
    """The step of the newest checkpoint."""
    return max(_steps(run), default=0)


def _steps(run: Path) -> list[int]:
    """The steps that have a checkpoint."""
    return [int(path.name) for path in checksums.named_by_step(run / CHECKPOINTS) if path.is_dir()]


def _fresh(run: Path) -> Path:
    folders = (run / f"quarantine.{number}" for number in itertools.count(1))
    folder = next(folder for folder in folders if not folder.exists())
    folder.mkdir()
    return folder
