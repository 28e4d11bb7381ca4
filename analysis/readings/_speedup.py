"""Speed-up of derived models over training from the start, at equal total compute.

    speed-up = C_scratch(L) / C - 1

with L the loss of a derived model, C its compute, and C_scratch(L) that of a model of its size
trained from the start to L: a line through the scratch runs in ln C and ln L. C holds the parents'
FLOPs in full; none and amortised stand beside. Intervals are over seeds, by Student's t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.bootstrap import mean_interval
from analysis.fitting.types import LEVEL
from analysis.plotting.numbers import quantity, ranged
from analysis.plotting.style import MARKERS, MUTED, RAMP, house_style
from analysis.readings._finding import Picture, TextTable, beyond_seeds
from analysis.tables.study import StudyRecords
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

SCRATCH = "scratch"
COSTS = {
    "full": "flops_with_parents",
    "amortised": "flops_with_parents_shared",
    "none": "flops_model",
}


@dataclass(frozen=True)
class Words:
    """The words of a reading: what is derived, whose compute counts, and a published number."""

    name: str
    parents: str
    published: str


@dataclass(frozen=True)
class Arm:
    """One way to derive at one size: the speed-up of each seed under each count of the parents."""

    label: str
    params: float
    losses: tuple[float, ...]
    speedups: Mapping[str, tuple[float, ...]]

    def mean(self, cost: str) -> Ranged:
        """Mean speed-up over seeds and its interval; nan around a single one."""
        return mean_interval(self.speedups[cost], LEVEL)


@dataclass(frozen=True)
class SpeedUps:
    """The arms by label and size."""

    words: Words
    arms: tuple[Arm, ...]
    unit: str
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        largest = max(arm.params for arm in self.arms)
        best = max((a for a in self.arms if a.params == largest), key=lambda a: a.mean("full")[0])
        found = best.mean("full")
        verdict = beyond_seeds(found, 0, "none")
        return (
            f"at {quantity(largest)} parameters {best.label} is the best {self.words.name}: "
            f"{_percent(found)} at equal total compute{verdict}; published: "
            f"{self.words.published}"
        )

    @property
    def tables(self) -> tuple[TextTable, ...]:
        rows = tuple(
            (
                arm.label,
                quantity(arm.params),
                f"{np.mean(arm.losses):.4f}",
                *(_percent(arm.mean(cost)) for cost in COSTS),
                str(len(arm.losses)),
            )
            for arm in self.arms
        )
        return (
            TextTable(
                "Speed-up over training from the start",
                f"the FLOPs of {self.words.parents} in full, shared by all that are derived from "
                "them, or left out; 95 % intervals by Student's t over seeds",
                (self.words.name, "params", f"loss ({self.unit})", *COSTS, "seeds"),
                rows,
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                self.words.name,
                lambda: draw(self),
                f"Speed-up by {self.words.name} against size.",
                f"Total compute, that of {self.words.parents} included; dotted: none.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def speed_ups(study: StudyRecords, words: Words) -> SpeedUps | None:
    """The speed-ups of the finished runs; None before a derived one and two from the start.

    Raises:
        UserError: the records name no parents.
    """
    done = study.fit_runs
    scratch, derived = done[done["label"] == SCRATCH], done[done["label"] != SCRATCH]
    if derived.empty or len(scratch) < 2:
        return None
    if COSTS["full"] not in done:
        raise UserError(f"{study.folder}: the records name no parents; run the study {words.name}")
    arms, notes = [], []
    for _, rows in derived.groupby([study.params, "label"], sort=False):
        params, label = float(rows[study.params].iloc[0]), str(rows["label"].iloc[0])
        own = scratch[scratch[study.params] == params]
        if own[COSTS["none"]].nunique() < 2:
            notes.append(f"{quantity(params)} parameters: fewer than two budgets from the start")
            continue
        losses = rows[study.loss].astype(float)
        needed = _compute(own, study.loss, losses)
        speedups = {
            cost: tuple(float(ratio - 1) for ratio in needed / rows[column].astype(float))
            for cost, column in COSTS.items()
        }
        arms.append(Arm(label, params, tuple(losses), speedups))
    return SpeedUps(words, tuple(arms), study.unit, tuple(dict.fromkeys(notes))) if arms else None


def _compute(scratch: pd.DataFrame, loss: str, losses: pd.Series[float]) -> Any:
    """FLOPs at which the line of the scratch runs has these losses."""
    x, y = np.log(scratch[COSTS["none"]].astype(float)), np.log(scratch[loss].astype(float))
    slope, start = np.polyfit(x, y, 1)
    return np.exp((np.log(losses) - start) / slope)


def _percent(value: Ranged) -> str:
    mean, low, high = (100 * each for each in value)
    return ranged((mean, low, high), ".1f", " %")


def draw(found: SpeedUps) -> Any:
    """Speed-up against size, a line for each way."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for k, label in enumerate(dict.fromkeys(arm.label for arm in found.arms)):
            own = [arm for arm in found.arms if arm.label == label]
            axes.plot(
                [arm.params for arm in own], [100 * arm.mean("full")[0] for arm in own],
                marker=MARKERS[k % len(MARKERS)], color=RAMP[(1 + k) % len(RAMP)], lw=1,
                label=label,
            )  # fmt: skip
        axes.axhline(0, color=MUTED, lw=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="parameters", ylabel="speed-up (%)")
        axes.legend(fontsize=8)
        return figure
