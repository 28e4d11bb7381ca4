"""IsoFLOP profiles of a study: the best size and data at each budget, by Approach 2.

The budgets are the rungs of the study. `analysis.estimators.isoflop` finds the minima, their errors
and the exponents; the figures draw its results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.estimators.frontier import Frontier, PowerLaw
from analysis.estimators.isoflop import isoflop
from analysis.estimators.vertex import CURVES
from analysis.plotting.numbers import quantity, scientific
from analysis.plotting.style import (
    FITTED,
    HELD,
    INK,
    MUTED,
    canvas,
    house_style,
    log_log,
    log_ticks,
    rung_style,
)
from analysis.readings._finding import Picture, TextTable
from analysis.tables.points import Array
from analysis.tables.study import StudyRecords

FEWEST = 2  # budgets
WITHIN = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True)
class BudgetProfile:
    """One budget: its runs by size, and the row of `Frontier.optima` that belongs to it."""

    sizes: Array
    losses: Array
    optimum: Mapping[str, Any]


@dataclass(frozen=True)
class Profiles:
    """The profiles of a study and the frontier through their minima."""

    profiles: tuple[BudgetProfile, ...]
    frontier: Frontier
    unit: str
    params: str
    predictions: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.frontier.warnings

    def __str__(self) -> str:
        """Both exponents in one line."""
        n, d = (_exponent(law) for law in (self.frontier.params, self.frontier.tokens))
        return f"the best size grows as C^{n}, the best data as C^{d}"

    @property
    def tables(self) -> tuple[TextTable, ...]:
        """A row for each budget."""
        rows = tuple(
            (
                scientific(each.optimum["flops"]),
                str(each.optimum["sizes"]),
                _with_interval(each.optimum["params"], each.optimum["params_error"]),
                _with_interval(each.optimum["tokens"], each.optimum["tokens_error"]),
                f"{each.optimum['loss']:.4g}" if each.optimum["used"] else "–",
            )
            for each in self.profiles
        )
        heads = ("budget, FLOPs", "sizes", "best N", "best D", f"least loss, {self.unit}")
        noise = f"{100 * self.frontier.noise:.2g} % noise of a run, seen"
        note = f"Approach 2, with 95 % intervals ({noise} beside the curves): {self}"
        return (TextTable("How should compute be split?", note, heads, rows),)

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "isoflop",
                lambda: draw_profiles(self.profiles, self.params, f"validation loss, {self.unit}"),
                "IsoFLOP profiles.",
                "Each curve spends one budget on models of different sizes. The star is the least "
                "of a cubic in log N, of one skew for all budgets; its bar is the 95 % interval of "
                "its place. A budget without a star has its least at the edge of the sizes tried.",
                f"Loss against parameters at {len(self.profiles)} compute budgets, each a valley.",
            ),
            Picture(
                "allocation",
                lambda: draw_allocation(self.frontier),
                "The best split of compute.",
                "Best parameters and tokens of each budget with 95 % intervals, and the power laws "
                "through them with theirs.",
                f"Best parameters and tokens against compute: {self}.",
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        """No file: the sentence holds the exponents."""
        return ()


def read(study: StudyRecords) -> Profiles | None:
    """The profiles of the completed runs; None for fewer than two budgets."""
    runs = study.fit_runs
    if runs["rung"].nunique() < FEWEST:
        return None
    frontier = isoflop(
        runs, loss=study.loss, params=study.params, tokens=study.tokens, budget="rung"
    )
    return Profiles(
        profiles(frontier, study.params, study.loss), frontier, study.unit, study.params
    )


def profiles(frontier: Frontier, params: str, loss: str) -> tuple[BudgetProfile, ...]:
    """The runs of each budget beside its optimum."""
    return tuple(
        BudgetProfile(
            rows[params].to_numpy(np.float64),
            rows[loss].to_numpy(np.float64),
            {str(name): value for name, value in optimum.items()},
        )
        for rows, optimum in zip(frontier.runs, frontier.optima.to_dict("records"), strict=True)
    )


def draw_profiles(
    found: Sequence[BudgetProfile], params: str, loss: str, curve: str = "skewed"
) -> Any:
    """Loss against size at each budget: the runs, the estimator's curve and its minimum."""
    with house_style():
        figure, axes = canvas()
        for at, each in enumerate(found):
            look = rung_style(at, len(found))
            if each.optimum["used"]:
                ends = np.log([each.optimum["low"], each.optimum["high"]])
                span = np.linspace(ends[0], ends[1], 80)
                drawn = CURVES[curve].at(each.optimum, np.log(each.sizes), each.losses, span)
                axes.plot(np.exp(span), drawn, color=look["color"], linewidth=1.0)
            axes.plot(
                each.sizes, each.losses, linestyle="none", markeredgecolor="white",
                markeredgewidth=0.5, label=f"{scientific(each.optimum['flops'])} FLOPs", **look,
            )  # fmt: skip
        for best in (each.optimum for each in found if each.optimum["used"]):
            ends = best["params"] * np.exp(WITHIN * best["params_error"] * np.array([-1, 1]))
            axes.plot(ends, 2 * [best["loss"]], color=HELD, linewidth=2.2, zorder=5)
            axes.plot(
                best["params"], best["loss"], marker="*", markersize=11, color=HELD,
                markeredgecolor="white", zorder=6,
            )  # fmt: skip
        log_log(axes, f"parameters, {params}", loss)
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            log_ticks(axis, *ends)
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.2, handletextpad=0.5)
        return figure


def draw_allocation(frontier: Frontier) -> Any:
    """Best parameters and tokens against compute, with the power laws through them."""
    optima = frontier.optima[frontier.optima["used"]]
    with house_style():
        figure, axes = canvas()
        flops = optima["flops"].to_numpy(np.float64)
        span = np.geomspace(flops.min() / 2, flops.max() * 4, 60)
        for name, law, symbol, mark, line, color in (
            ("tokens", frontier.tokens, "D", "^", "--", INK),
            ("params", frontier.params, "N", "o", "-", FITTED),
        ):
            value, low, high = law.predict(span)
            axes.fill_between(span, low, high, color=color, alpha=0.16, lw=0)
            axes.plot(span, value, color=color, linestyle=line, linewidth=1.0)
            best = optima[name].to_numpy(np.float64)
            off = np.exp(WITHIN * optima[f"{name}_error"].fillna(0.0).to_numpy(np.float64))
            axes.errorbar(
                flops, best, yerr=[best - best / off, best * off - best], fmt=mark, color=color,
                capsize=3, ecolor=MUTED, label=f"{symbol}* = C^{law.exponent:.3f}",
            )  # fmt: skip
        log_log(axes, "compute, FLOPs", "parameters N*; tokens D*")
        low, high = axes.get_xlim()
        log_ticks(axes.xaxis, low, high, scientific)
        log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=2)
        return figure


def _exponent(law: PowerLaw) -> str:
    if not len(law.samples):
        return f"{law.exponent:.3f}"
    low, high = law.interval()
    return f"{law.exponent:.3f} [{low:.3f}, {high:.3f}]"


def _with_interval(value: float, error: float) -> str:
    if np.isnan(value):
        return "at the edge"
    if np.isnan(error):
        return quantity(value)
    low, high = (quantity(float(value * np.exp(sign * WITHIN * error))) for sign in (-1, 1))
    return f"{quantity(value)} [{low}, {high}]"
