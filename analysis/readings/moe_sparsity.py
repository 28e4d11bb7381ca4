"""Leverage of mixtures of experts: the dense compute of equal loss over their own.

    L(C) = A / C^alpha of the dense runs,    leverage = (A / L)^(1 / alpha) / C

C is `flops_model`. Intervals are of the law's constants, by resampled dense runs, with the noise of
a run about the law. Over all mixtures the exponents b and g of

    ln leverage = a + b ln(E / A) + g ln G

are by least squares, with intervals by Student's t: E / A experts for each active one, and G the
granularity, the dense feed-forward's width over that of an expert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import Array
from analysis.tables.study import StudyRecords
from experiments.record import Status
from scaling.common.answers import Ranged
from scaling.common.errors import UserError
from scaling.laws import by_name

if TYPE_CHECKING:
    import pandas as pd

FLOPS = "flops_model"
DENSE = "dense"
BOOTSTRAP = 400
LEAST = 3  # dense runs
INTERVAL = 0.025, 0.975
SPARSITY, GRANULARITY = "sparsity", "granularity"


@dataclass(frozen=True)
class Leverage:
    """The dense law, and the mixtures with `SPARSITY` and `GRANULARITY`.

    Attributes:
        drawn: leverage of each mixture (columns) in each resample (rows), with a run's noise.
    """

    study: StudyRecords
    law: FitResult
    mixtures: pd.DataFrame
    value: Array
    drawn: Array
    predictions: Mapping[str, float] = field(default_factory=dict)

    def of(self, at: int) -> Ranged:
        """The leverage of one mixture and its interval."""
        low, high = np.quantile(self.drawn[:, at], INTERVAL)
        return float(self.value[at]), float(low), float(high)

    @property
    def exponents(self) -> Mapping[str, Ranged]:
        """b and g with their intervals; none where fewer than four mixtures tell them apart."""
        columns = [np.log(self.mixtures[name].to_numpy(float)) for name in (SPARSITY, GRANULARITY)]
        x = np.stack([np.ones(len(self.value)), *columns], axis=1)
        free = len(x) - x.shape[1]
        if free < 1 or np.linalg.matrix_rank(x) < x.shape[1]:
            return {}
        y = np.log(self.value)
        estimates = np.linalg.lstsq(x, y, rcond=None)[0]
        spread = np.sum((y - x @ estimates) ** 2) / free * np.linalg.inv(x.T @ x)
        reach = student_t(LEVEL, free) * np.sqrt(np.diag(spread))
        ends = zip(estimates, estimates - reach, estimates + reach, strict=True)
        found = [tuple(map(float, each)) for each in ends][1:]
        return dict(zip((SPARSITY, GRANULARITY), found, strict=True))  # type: ignore[arg-type]

    def __str__(self) -> str:
        best = int(np.argmax(self.value))
        row = self.mixtures.iloc[best]
        return (
            f"most leverage {_three(self.of(best))}: {row[SPARSITY]:g} experts for each active "
            f"one, granularity {row[GRANULARITY]:g}"
        )

    @property
    def notes(self) -> Sequence[str]:
        return self.law.warnings

    @property
    def tables(self) -> Sequence[TextTable]:
        rows = tuple(
            (
                f"{row[SPARSITY]:g}", f"{row[GRANULARITY]:g}", f"{row[self.study.loss]:.4f}",
                _three(self.of(at)),
            )
            for at, row in enumerate(self.mixtures.to_dict("records"))
        )  # fmt: skip
        each = TextTable(
            "Leverage",
            "dense FLOPs of equal loss over a mixture's own, with the 95 % interval",
            ("experts for each active one", "granularity", f"loss, {self.study.unit}", "leverage"),
            rows,
        )
        if not self.exponents:
            return (each,)
        powers = TextTable(
            "Exponents of the leverage",
            "over all mixtures, with 95 % intervals by Student's t; 0 is no effect",
            ("of", "exponent"),
            tuple((name, _three(ends)) for name, ends in self.exponents.items()),
        )
        return each, powers

    def pictures(self) -> Sequence[Picture]:
        return (
            Picture(
                "leverage",
                partial(draw, self),
                "Leverage against experts for each active one.",
                "A line for each granularity, with 95 % intervals; dashed: the dense model.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> Sequence[Path]:
        return ()


def _three(values: Sequence[float]) -> str:
    return "{:.3g} [{:.3g}, {:.3g}]".format(*values)


def read(study: StudyRecords) -> Leverage | None:
    """The leverage of every finished mixture, or None before there are any.

    Raises:
        UserError: no dense runs.
    """
    is_dense = study.runs["label"] == DENSE
    if not is_dense.any():
        raise UserError(f"{study.folder}: no runs labelled dense, so there is no law of them")
    done = study.runs["status"] == str(Status.COMPLETED)
    dense, mixtures = study.runs[done & is_dense], study.runs[done & ~is_dense]
    if len(dense) < LEAST or mixtures.empty:
        return None
    law = fit(
        by_name("power_law_no_offset"),
        dense[["run_id", "status", FLOPS, study.loss]],
        loss=study.loss,
        x=FLOPS,
        objective="log_squared",
        bootstrap=BOOTSTRAP,
    )
    width = float(dense["model.ffn"].max() / dense["model.width"].max())
    mixtures = mixtures.assign(
        **{
            SPARSITY: mixtures["model.experts"] / mixtures["model.experts_active"],
            GRANULARITY: width * mixtures["model.width"] / mixtures["model.ffn"],
        }
    ).sort_values([GRANULARITY, SPARSITY])
    loss, own = (mixtures[name].to_numpy(float) for name in (study.loss, FLOPS))
    samples = dict(zip(law.law.parameters, law.samples.T[..., None], strict=True))
    noise = np.random.default_rng(0).normal(0, law.noise, (len(law.samples), len(mixtures)))

    def dense_flops(constants: Mapping[str, Any], loss: Array) -> Array:
        found: Array = (constants["A"] / loss) ** (1 / constants["alpha"])
        return found

    return Leverage(
        study,
        law,
        mixtures,
        dense_flops(law.params, loss) / own,
        dense_flops(samples, loss * np.exp(noise)) / own,
    )


def draw(found: Leverage) -> Any:
    """One panel, a line for each granularity."""
    from matplotlib.figure import Figure

    from analysis.plotting.style import MUTED, SIZE, house_style, log_log, round_ticks, rung_style

    table = found.mixtures.assign(at=range(len(found.mixtures)))
    cuts = sorted(table[GRANULARITY].unique())
    with house_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.axhline(1, color=MUTED, linestyle="--")
        for place, cut in enumerate(cuts):
            rows = table[table[GRANULARITY] == cut]
            ends = np.array([found.of(at) for at in rows["at"]])
            look = rung_style(place, len(cuts))
            beside = rows[SPARSITY] * 1.04 ** (place - (len(cuts) - 1) / 2)  # no interval hides one
            axes.plot(beside, ends[:, 0], label=f"granularity {cut:g}", **look)
            axes.vlines(beside, ends[:, 1], ends[:, 2], color=look["color"])
        log_log(axes, "experts for each active one", "leverage")
        round_ticks(axes)
        marks = sorted(table[SPARSITY].unique())
        axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
        figure.legend(loc="outside lower center", ncol=len(cuts))
    return figure
