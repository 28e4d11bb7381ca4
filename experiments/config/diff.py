"""Differences in the science of two runs, from their config.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from experiments import record
from experiments.config.data import PLACES
from experiments.config.fields import flat
from scaling.common.errors import UserError

ABSENT = "(absent)"  # the run is of a version without the field


class Difference(NamedTuple):
    """One field of the science, and its value in either run."""

    name: str
    a: Any
    b: Any


def differences(a: Path, b: Path) -> list[Difference]:
    """List the fields in which two run folders differ; empty where the science is the same.

    As in a run's identity, the data counts by its fingerprint and not by its path. If all fields
    agree and the run ids do not, two versions of the code read the fields differently.
    """
    one, other = _science(a), _science(b)
    names = [*one, *(name for name in other if name not in one)]
    rows = [Difference(n, one.get(n, ABSENT), other.get(n, ABSENT)) for n in names]
    differing = [row for row in rows if row.a != row.b]
    if one["data.fingerprint"] and one["data.fingerprint"] == other["data.fingerprint"]:
        differing = [row for row in differing if row.name not in PLACES]
    fields = [row for row in differing if row.name != "run_id"]
    return fields or differing


def _science(folder: Path) -> dict[str, Any]:
    path = folder / record.CONFIG
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a run's folder, such as runs/STUDY/RUN_ID")
    config = record.read(folder, record.RunRecord)
    found = {**dict(flat(config.science)), "run_id": config.run_id}
    if config.derivation:
        found["derivation.operation"] = config.derivation.operation
        found["derivation.settings"] = dict(config.derivation.settings)
        found["derivation.parents"] = [parent.run_id for parent in config.parents]
    return found
