"""Worth of pruned models: the dense model of equal loss over the parameters that are not zero.

    ln L = a + b ln N                        dense models, trained on as long as the pruned ones
    worth = N_dense(L) / non-zeros

A worth above 1 says that a sparse model beats the dense one of as many non-zeros; its products
still cost those of the dense shape. The line is fitted for each seed, and intervals are over seeds,
by Student's t. Losses beyond those of the dense models are read off the line's continuation.
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

DENSE, DENSITY = "dense", "operation.density"
CONTROLS = {"rewound": "dense, rewound"}  # dense models of the same schedule; of others DENSE


@dataclass(frozen=True)
class Arm:
    """One way to prune at one density and size; losses and worths of its seeds.

    Attributes:
        params: of the dense shape.
        nonzeros: embedding included.
    """

    label: str
    density: float
    params: float
    nonzeros: float
    losses: tuple[float, ...]
    worths: tuple[float, ...]
    inside: bool  # every loss is one that the dense models reach

    @property
    def worth(self) -> Ranged:
        """The mean over seeds and its interval; nan around a single seed."""
        return mean_interval(self.worths, LEVEL)


@dataclass(frozen=True)
class Pruning:
    """The arms by label, density and size, and their dense controls' losses by size."""

    arms: tuple[Arm, ...]
    dense: Mapping[str, Mapping[float, float]]  # by the controls' label
    unit: str
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        largest = max(arm.params for arm in self.arms)
        best = max((a for a in self.arms if a.params == largest), key=lambda arm: arm.worth[0])
        verdict = beyond_seeds(best.worth, 1, "1")
        return (
            f"at {quantity(largest)} parameters, {best.label} at density {best.density:g}, a "
            f"non-zero parameter is worth {ranged(best.worth, '.2f')} dense ones{verdict}"
        )

    @property
    def tables(self) -> tuple[TextTable, ...]:
        rows = tuple(
            (
                arm.label,
                f"{arm.density:g}",
                quantity(arm.params),
                quantity(arm.nonzeros),
                f"{np.mean(arm.losses):.4f}",
                f"{self.dense[control(arm.label)][arm.params]:.4f}",
                ranged(arm.worth, ".2f") + ("" if arm.inside else " *"),
                str(len(arm.losses)),
            )
            for arm in self.arms
        )
        heads = ("pruning", "density", "params", "non-zeros")
        losses = (f"loss ({self.unit})", "dense", "worth of a non-zero", "seeds")
        return (
            TextTable(
                "Pruned models at equal non-zeros",
                "worth: parameters of the dense model of equal loss and schedule, over the "
                "non-zeros; dense: the loss of the unpruned shape; 95 % intervals by Student's t "
                "over seeds; *: outside the losses of the dense models",
                (*heads, *losses),
                rows,
            ),
        )

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "pruning",
                lambda: draw(self),
                "Loss of pruned and dense models against their non-zeros.",
                "Left of the dense line a sparse model is better at equal non-zeros.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Pruning | None:
    """The worths of the finished runs; None before a pruned one and two dense sizes have ended.

    Raises:
        UserError: the records name no density.
    """
    done = study.fit_runs
    labels = (DENSE, *CONTROLS.values())
    is_dense = done["label"].isin(labels)
    if DENSITY not in done:
        if not is_dense.all():
            raise UserError(f"{study.folder}: the records name no density; run the study pruning")
        return None
    dense = {label: done[done["label"] == label] for label in labels}
    arms, notes = [], []
    for _, rows in done[~is_dense].groupby(["params_total", "label", DENSITY], sort=False):
        label, params = str(rows["label"].iloc[0]), float(rows["params_total"].iloc[0])
        beside = dense[control(label)]
        lines = _lines(beside, study.loss)
        own = rows[rows["seed"].isin(list(lines))]
        if own.empty or params not in set(beside["params_total"]):
            notes.append(f"{label} of {quantity(params)} parameters: dense models have not ended")
            continue
        span = beside[study.loss].min(), beside[study.loss].max()
        arms.append(_arm(own, study.loss, lines, span))
    if not arms:
        return None
    losses = {
        label: {
            float(same["params_total"].iloc[0]): float(same[study.loss].mean())
            for _, same in runs.groupby("params_total")
        }
        for label, runs in dense.items()
    }
    return Pruning(tuple(arms), losses, study.unit, tuple(dict.fromkeys(notes)))


def control(label: str) -> str:
    """The label of the dense models that are trained as those of a label are."""
    return next((dense for own, dense in CONTROLS.items() if own == label), DENSE)


def _lines(dense: pd.DataFrame, loss: str) -> dict[Any, Any]:
    """Slope and start of ln L in ln N of each seed with two sizes or more."""
    return {
        seed: np.polyfit(np.log(own["params_total"]), np.log(own[loss].astype(float)), 1)
        for seed, own in dense.groupby("seed")
        if own["params_total"].nunique() > 1
    }


def _arm(rows: pd.DataFrame, loss: str, lines: Mapping[Any, Any], span: tuple[float, float]) -> Arm:
    first, losses = rows.iloc[0], rows[loss].astype(float)
    density, params = float(first[DENSITY]), float(first["params_total"])
    nonzeros = params - (1 - density) * float(first["params_nonembedding"])
    equal = [
        np.exp((np.log(value) - lines[seed][1]) / lines[seed][0])
        for value, seed in zip(losses, rows["seed"], strict=True)
    ]
    return Arm(
        str(first["label"]), density, params, nonzeros, tuple(losses),
        tuple(each / nonzeros for each in equal), bool(losses.between(*span).all()),
    )  # fmt: skip


def draw(found: Pruning) -> Any:
    """Loss against non-zeros: the dense line, and a line for each way and density."""
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for (label, losses), line in zip(found.dense.items(), ("-", "--"), strict=True):
            sizes = sorted(losses)
            axes.plot(sizes, [losses[n] for n in sizes], line, color=MUTED, marker=".", label=label)
        for k, (label, density) in enumerate(
            dict.fromkeys((arm.label, arm.density) for arm in found.arms)
        ):
            own = [arm for arm in found.arms if (arm.label, arm.density) == (label, density)]
            axes.plot(
                [arm.nonzeros for arm in own], [np.mean(arm.losses) for arm in own],
                marker=MARKERS[k % len(MARKERS)], color=RAMP[(1 + k) % len(RAMP)], lw=1,
                label=f"{label}, density {density:g}",
            )  # fmt: skip
        axes.set(xscale="log", xlabel="parameters that are not zero", ylabel=f"loss ({found.unit})")
        axes.legend(fontsize=7)
        return figure
