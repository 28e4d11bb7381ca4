"""Studies and searches, one file each; each docstring holds its command, result and wall time.

A study file lies here, or is named by its path. It defines

    def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study

A search file defines `search() -> Search` (experiments/search/plan.py). The parameters of the
function are settings, given on the command line as ``--set scale=gpu``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.config.from_record import read_config
from experiments.config.overrides import override, paths
from experiments.plan import loading
from experiments.plan.loading import FileKind
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.search import plan
from experiments.search.plan import Search
from scaling.common import plugins

STUDY = FileKind(__name__, "study", Study, paths())
SEARCH = FileKind(__name__, "search", Search, (*plan.OWN, *paths()))


def files(kind: FileKind[Any]) -> dict[str, ModuleType]:
    """The packaged files of a kind, by name."""
    found = {name: loading.module(kind, name) for name in plugins.names(__name__)}
    return {name: file for name, file in found.items() if hasattr(file, kind.function)}


def load(name: str, assignments: Sequence[str] = ()) -> Study:
    """The study of this name or path with its settings and overrides applied."""
    return loading.build(STUDY, name, assignments)


def load_search(name: str, assignments: Sequence[str] = ()) -> Search:
    """The search of this name or path with its settings and overrides applied."""
    return loading.build(SEARCH, name, assignments)


def runs(name: str, assignments: Sequence[str] = ()) -> tuple[Run, ...]:
    """The runs of a study, or the one run of a config.json, with the overrides applied."""
    if name.endswith(".json"):
        return (Run(override(read_config(Path(name)), assignments), rung=0),)
    return load(name, assignments).runs
