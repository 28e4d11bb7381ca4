"""The fields in which the runs of a study differ: columns of every table and line about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from experiments.config.overrides import ALIASES, paths, values_of
from experiments.plan.run import Run
from scaling.common import tables

PLACES = ("data.fingerprint", "execution.")  # no settings of the science


def varying(runs: Sequence[Run], shown: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The labels and fields of the science that vary, by short name, a value for each run.

    Left out are the fields that are `shown` elsewhere, and those that another one decides.
    """
    configs = [run.config for run in runs]
    columns = {"label": [run.label for run in runs]}
    for path in paths():
        if path not in shown and not path.startswith(PLACES):
            columns[path] = values_of(configs, path)
    return {short(name): columns[name] for name in tables.varying(columns)}


def short(path: str) -> str:
    """The alias of a field, or the last word of its path, where no other field's ends so."""
    if path in ALIASES.values():
        return next(alias for alias, known in ALIASES.items() if known == path)
    words = Counter(each.rpartition(".")[2] for each in paths())
    last = path.rpartition(".")[2]
    return last if words[last] <= 1 else path
