"""Valleys: the loss against a setting that a study sweeps, with all else that it varies held fixed.

A study of settings (learning rate by width, batch by size) asks where each valley lies and whether
its bottom moves. The setting is the number of the config, other than size, budget and seed, that
the runs give the most values; a valley is the runs that differ in it alone, averaged over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.finding import Picture, Table
from analysis.study import Study
from analysis.style import quantity

SECTIONS = ("optimizer.", "schedule.", "batch.", "parametrization.", "init_scale", "precision")
FEWEST = 3  # values that make a valley


@dataclass(frozen=True)
class Valley:
    """Mean loss at each value of the setting, ascending; `kind` are the other settings."""

    rung: int
    params: float
    kind: tuple[str, ...]
    losses: Mapping[float, float]

    @property
    def best(self) -> float:
        """The value of least loss among those tried."""
        return min(self.losses, key=lambda value: self.losses[value])


@dataclass(frozen=True)
class Valleys:
    """All valleys of a study, kind by kind, from the smallest model to the largest."""

    study: Study
    setting: str
    valleys: tuple[Valley, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[tuple[str, ...], list[Valley]]:
        found: dict[tuple[str, ...], list[Valley]] = {}
        for valley in self.valleys:
            found.setdefault(valley.kind, []).append(valley)
        return found

    def __str__(self) -> str:
        """The best value of each valley among those tried, in one line."""
        parts = [
            " ".join([*kind, *(f"{v.best:.3g} at N = {quantity(v.params)}," for v in valleys)])
            for kind, valleys in self.kinds.items()
        ]
        return f"best {self.setting}: " + "; ".join(part.removesuffix(",") for part in parts)

    def pictures(self) -> tuple[Picture, ...]:
        from analysis import plots

        return (
            Picture(
                "valleys",
                lambda: plots.valleys(self),
                f"Loss against {self.setting}.",
                "A line per size; the star is the least of each line, among the values tried. "
                "Where the stars stand one below the other, the setting carries over.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Nothing: the best values are in the sentence."""
        return ()


def find_valleys(study: Study) -> Valleys | None:
    """The valleys of the finished runs; None where no setting has `FEWEST` values in any rung."""
    from pandas.api.types import is_numeric_dtype

    runs = study.fit_runs
    counts = {
        column: int(runs.groupby("rung")[column].nunique().max())
        for column in runs.columns
        if column.startswith(SECTIONS) and len(runs)
    }
    numbers = {name: n for name, n in counts.items() if is_numeric_dtype(runs[name])}
    setting = max(numbers, key=lambda name: numbers[name], default=None)
    if setting is None or numbers[setting] < FEWEST:
        return None
    others = [name for name, n in counts.items() if n > 1 and name != setting]
    found = []
    for key, rows in runs.groupby(["rung", *others]):
        rung, *kind = key
        losses = rows.groupby(setting)[study.loss].mean()
        if len(losses) >= FEWEST:
            params = float(rows[study.params].median())
            found.append(Valley(int(str(rung)), params, tuple(map(str, kind)), dict(losses)))
    found.sort(key=lambda valley: (valley.kind, valley.rung))
    return Valleys(study, setting, tuple(found))
