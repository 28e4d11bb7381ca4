"""Valleys: loss against the setting that a study sweeps, with everything else held fixed.

The setting is the number of the config, other than size, budget and seed, with the most values. A
valley is the runs of one rung and kind that differ in the setting and in the seed alone.
analysis/readings/transfer.py measures the move of their minima as the model grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.tables.points import Array
from analysis.tables.study import StudyRecords

SECTIONS = (
    "optimizer.",
    "schedule.",
    "batch.",
    "parametrization.",
    "evaluation.",
    "init_scale",
    "penalties.",
    "precision",
)
SIZES = ("model.width", "model.layers")
FEWEST = 3  # values that make a valley


@dataclass(frozen=True)
class Valley:
    """The losses [S, V] of S seeds at the V values of the setting, ascending, at which every seed
    has completed. `kind` is the label of its runs, or their other settings. `sizes` holds the size
    of its model under each name."""

    rung: int
    kind: tuple[str, ...]
    sizes: Mapping[str, float]
    seeds: tuple[int, ...]
    values: Array
    losses: Array

    @property
    def mean(self) -> Array:
        """[V], over the seeds."""
        return np.asarray(self.losses.mean(axis=0))

    @property
    def error(self) -> Array:
        """[V], the standard error of the mean; nan for one seed."""
        S = len(self.seeds)
        if S == 1:
            return np.full(len(self.values), np.nan)
        return np.asarray(self.losses.std(axis=0, ddof=1) / S**0.5)

    @property
    def name(self) -> str:
        return ", ".join(each for each in self.kind if each) or "all"


@dataclass(frozen=True)
class Valleys:
    """All valleys of a study, kind by kind, from the smallest model to the largest."""

    setting: str
    params: str  # the size that every valley has
    valleys: tuple[Valley, ...]

    @property
    def kinds(self) -> dict[tuple[str, ...], list[Valley]]:
        found: dict[tuple[str, ...], list[Valley]] = {}
        for valley in self.valleys:
            found.setdefault(valley.kind, []).append(valley)
        return found


def find_valleys(study: StudyRecords) -> Valleys | None:
    """The valleys of the finished runs; None where no setting has `FEWEST` values in any valley."""
    from pandas.api.types import is_numeric_dtype

    runs = study.fit_runs
    labelled = bool(len(runs)) and runs["label"].astype(bool).any()
    group = ["rung", "label"] if labelled else ["rung"]
    counts = {
        column: int(runs.groupby(group)[column].nunique().max())
        for column in runs.columns
        if column.startswith(SECTIONS) and len(runs)
    }
    numbers = {name: n for name, n in counts.items() if is_numeric_dtype(runs[name])}
    setting = max(numbers, key=lambda name: numbers[name], default=None)
    if setting is None or numbers[setting] < FEWEST:
        return None
    if not labelled:
        group += [name for name, n in counts.items() if n > 1 and name != setting]
    sizes = [name for name in (*SIZES, study.params) if name in runs.columns]
    found = []
    for (rung, *kind), rows in runs.groupby(group):
        table = rows.pivot_table(index="seed", columns=setting, values=study.loss).dropna(axis=1)
        if table.shape[1] >= FEWEST:
            found.append(
                Valley(
                    rung=int(str(rung)),
                    kind=tuple(map(str, kind)),
                    sizes={name: float(rows[name].median()) for name in sizes},
                    seeds=tuple(table.index),
                    values=table.columns.to_numpy(float),
                    losses=table.to_numpy(float),
                )
            )
    order = {kind: at for at, kind in enumerate(dict.fromkeys(map(str, runs["label"])))}
    found.sort(key=lambda v: (order[v.kind[0]] if labelled else 0, v.kind, v.rung))
    return Valleys(setting, study.params, tuple(found)) if found else None
