"""Bits of knowledge per parameter, against exposures.

    capacity = bits / params_total

The bits are those of the task `knowledge` (Allen-Zhu and Li 2024, arXiv 2404.05405). The interval
after so many exposures is over the sizes and loads of people, by Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import MARKERS, MUTED, RAMP, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

BITS, MOST = "evaluations.knowledge.bits", "evaluations.knowledge.most_bits"
PUBLISHED = {1000: 2.0, 100: 1.0}  # bits a parameter after so many exposures


@dataclass(frozen=True)
class Known:
    """One run: its size, the exposures of each person, the bits it holds and those it could."""

    params: float
    exposures: float
    bits: float
    most: float

    @property
    def capacity(self) -> float:
        return self.bits / self.params


@dataclass(frozen=True)
class Knowledge:
    """The runs by size, most bits and exposures."""

    runs: tuple[Known, ...]
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    def mean(self, exposures: str) -> Ranged:
        """Mean capacity of the runs of these exposures, over sizes and loads, and its interval."""
        found = [run.capacity for run in self.runs if _rounded(run) == exposures]
        return mean_interval(found, LEVEL)

    def __str__(self) -> str:
        best = max(self.runs, key=lambda run: run.capacity)
        return (
            f"at most {best.capacity:.2f} bits a parameter, after {best.exposures:.0f} exposures "
            f"of {quantity(best.most)} bits by {quantity(best.params)} parameters; published: "
            + ", ".join(f"{bits:g} after {n}" for n, bits in PUBLISHED.items())
        )

    @property
    def tables(self) -> tuple[TextTable, ...]:
        each = tuple(
            (
                quantity(run.params),
                quantity(run.most),
                f"{run.exposures:.0f}",
                quantity(run.bits),
                f"{run.capacity:.3f}",
                f"{100 * run.bits / run.most:.0f} %",
            )
            for run in self.runs
        )
        groups = tuple(dict.fromkeys(map(_rounded, sorted(self.runs, key=lambda r: r.exposures))))
        means = tuple(
            (
                group,
                str(sum(_rounded(run) == group for run in self.runs)),
                ranged(self.mean(group), ".3f"),
            )
            for group in groups
        )
        return (
            TextTable(
                "Bits of each run",
                "most bits: those of the corpus; a run that has them all is limited by its people",
                ("params", "most bits", "exposures", "bits", "bits a parameter", "of the most"),
                each,
            ),
            TextTable(
                "Bits a parameter by exposures",
                "means over sizes and loads, with 95 % intervals by Student's t over the runs",
                ("exposures", "runs", "bits a parameter"),
                means,
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "knowledge",
                lambda: draw(self),
                "Bits a parameter against exposures.",
                "Each line is one size with its people; dotted: 2 bits a parameter.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Knowledge | None:
    """The bits of the finished runs; None before there is any.

    Raises:
        UserError: they were not evaluated on the task.
    """
    done = study.fit_runs
    if done.empty:
        return None
    if BITS not in done:
        raise UserError(f"{study.folder}: no bits in the record; set evaluation.tasks=knowledge")
    epochs = done[[name for name in done if str(name).startswith("epochs_by_source.")]].sum(axis=1)
    written = done["data.path"].str.extract(r"exposures=(\d+)")[0].fillna(10).astype(float)
    seen = epochs * written * (1 - done["data.valid_fraction"])
    rows = zip(done[study.params], seen, done[BITS], done[MOST], strict=True)
    runs = sorted(
        (Known(*map(float, row)) for row in rows), key=lambda r: (r.params, r.most, r.exposures)
    )
    return Knowledge(tuple(runs))


def _rounded(run: Known) -> str:
    """The exposures to one digit: budgets are of whole steps."""
    return f"{float(f'{run.exposures:.1g}'):.0f}"


def draw(found: Knowledge) -> Any:
    """Capacity against exposures, a line for each size and its people."""
    from matplotlib.figure import Figure

    cells = list(dict.fromkeys((run.params, run.most) for run in found.runs))
    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for k, (params, most) in enumerate(cells):
            own = [run for run in found.runs if (run.params, run.most) == (params, most)]
            axes.plot(
                [run.exposures for run in own], [run.capacity for run in own],
                marker=MARKERS[k % len(MARKERS)], color=RAMP[(1 + k) % len(RAMP)], lw=1,
                label=f"{quantity(params)} parameters, {quantity(most)} bits",
            )  # fmt: skip
        axes.axhline(2, color=MUTED, lw=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="exposures of each person", ylabel="bits a parameter")
        axes.legend(fontsize=8)
        return figure
