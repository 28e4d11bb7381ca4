"""Studies and searches, one file each; each docstring holds its command, result and wall time.

A study file lies here, or is named by its path, or by the folder or URL of its runs. It defines

    def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study

A search file defines `search() -> Search` (experiments/search/plan.py). The parameters of the
function are settings, given on the command line as ``--set scale=gpu``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments import record
from experiments.config.from_record import read_config
from experiments.config.overrides import joined, once, override, paths, split
from experiments.plan import loading, settings
from experiments.plan.loading import FileKind
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.search import plan
from experiments.search.plan import Search
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.common.remote import local

STUDY = FileKind(__name__, "study", Study, paths())
SEARCH = FileKind(__name__, "search", Search, (*plan.OWN, *paths()))


def files(kind: FileKind[Any]) -> dict[str, ModuleType]:
    """The packaged files of a kind, by name."""
    found = {name: loading.module(kind, name) for name in plugins.names(__name__)}
    return {name: file for name, file in found.items() if hasattr(file, kind.function)}


@dataclass(frozen=True)
class Named:
    """A study as a command names it: its name or file, and the folder of its runs where that is
    what was named, with the settings that its runs have."""

    study: str
    folder: Path | None = None
    assignments: tuple[str, ...] = ()


def named(text: str) -> Named:
    """The study of a name (quickstart), a file (my/study.py) or a folder of runs (runs/mine).

    Raises:
        UserError: a path that is none of these. No part of a path is ever dropped.
    """
    path = record.records_at(text)
    if text in plugins.names(__name__) or path.suffix == ".py":
        return Named(text)
    if (path / record.STUDY).is_file():
        plan = record.read(path, record.StudyPlan)
        given = tuple(f"{name}={_text(value)}" for name, value in plan.settings.items())
        return Named(plan.file or plan.name, path, given)
    if path.is_dir():
        raise UserError(f"{text}: holds no {record.STUDY}, so no runs of a study")
    if text != path.name:
        raise UserError(f"{text}: no such folder; give a study's name, its file or its folder")
    return Named(text)


def load(name: str, assignments: Sequence[str] = ()) -> Study:
    """The study of `named`, with its settings and overrides applied."""
    found = named(name)
    given = once(assignments)  # which replace those of the folder
    kept = [text for text in found.assignments if split(text)[0] not in given]
    return loading.build(STUDY, found.study, [*kept, *assignments])


def load_search(name: str, assignments: Sequence[str] = ()) -> Search:
    """The search of this name or path with its settings and overrides applied."""
    return loading.build(SEARCH, name, assignments)


def runs(name: str, assignments: Sequence[str] = ()) -> tuple[Run, ...]:
    """The runs of a study, or the one run of a config.json, with the overrides applied."""
    if name.endswith(".json"):
        return (Run(override(read_config(local(name)), joined(once(assignments))), rung=0),)
    return load(name, assignments).runs


def _text(value: Any) -> str:
    """A setting of a record, as --set takes it."""
    if value is None:
        return settings.NONE
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
