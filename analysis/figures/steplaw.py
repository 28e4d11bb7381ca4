"""Step Law: the regret of its rule on the released grids, and the constants that these grids give.

Li et al. 2025 (arXiv 2503.04715) tune learning rate and batch on grids in cells of (N, D). Above,
the bowl of one cell; below, the exponents as printed and by five methods of the released runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.datasets.steplaw import BOOTSTRAP, DATASET
from analysis.figures._reproduction import Reproduction, Row
from analysis.hyperparameters import (
    Optima,
    OptimumLaw,
    joint_surface,
    law_of_optima,
    near_optimal_set,
    optimum_per_cell,
    regress,
    regret,
)
from analysis.plotting.numbers import quantity
from analysis.plotting.style import FITTED, HELD, INK, MARKERS, MUTED, SIZE, house_style
from scaling.common.answers import Ranged
from scaling.hyperparameters.published import by_name
from scaling.hyperparameters.recommendation import recommend

CELL, HYPER = ("params_nonembedding", "tokens"), ("lr", "batch_tokens")
DEPENDS = {"lr": CELL, "batch_tokens": ("tokens",)}
SHOWN = {"params_nonembedding": 536872960, "tokens": 50e9}  # the cell whose bowl is drawn
WINDOW, WINDOWS = 0.05, (0.02, 0.03, 0.05, 0.08)  # of the quartics
LEVELS = (0.25, 0.5, 1, 2, 4, 8)  # contours, % above the least loss
EXPONENTS = (
    ("lr", "params_nonembedding", "lr with N"),
    ("lr", "tokens", "lr with D"),
    ("batch_tokens", "tokens", "batch with D"),
)
# mean and central 95 % of the 1000 released fits
SUMMARY = {
    "lr_intercept": (0.5863077907399268, -0.6478897758080235, 1.7647932198907832),
    "lr_coefN": (-0.7129222911869904, -0.7744041306358272, -0.65537236513942),
    "lr_coefD": (0.30749095041206964, 0.2712471048749467, 0.3451038841068156),
    "bs_intercept": (-0.5435421736103339, -1.3564965579442698, 0.3217098235692125),
    "bs_coefD": (0.5709443646895045, 0.5340324108021405, 0.6055078401137859),
}


@dataclass(frozen=True)
class Method:
    """One estimate of the constants from the runs: a law for each hyperparameter."""

    name: str
    laws: Mapping[str, OptimumLaw]

    def interval(self, hyper: str, variable: str) -> Ranged:
        """The exponent and its 95 % interval."""
        law = self.laws[hyper]
        return law.params[variable], *law.interval(variable)


def reproduce() -> Reproduction:
    runs, released = DATASET.load(), BOOTSTRAP.load()
    optima = optimum_per_cell(runs, cell=CELL, hyper=HYPER)
    skewed = optimum_per_cell(runs, cell=CELL, hyper=HYPER, within=WINDOW, degree=4)
    near = near_optimal_set(runs, cell=CELL, hyper=HYPER)
    surface = joint_surface(runs, DEPENDS, cell=CELL)
    methods = (
        Method(
            "runs within 0.25 %,\nresampled by run",
            {name: regress(near, name, on) for name, on in DEPENDS.items()},
        ),
        Method(
            "the same,\nresampled by cell",
            {name: regress(near, name, on, cluster=CELL) for name, on in DEPENDS.items()},
        ),
        Method(
            "quadratic per cell,\nwithin 2 %",
            {name: law_of_optima(optima, name, on) for name, on in DEPENDS.items()},
        ),
        Method("one bowl for all cells,\nwithin 2 %", surface.laws),
        Method(
            "quartic per cell,\nwithin 5 %",
            {name: law_of_optima(skewed, name, on) for name, on in DEPENDS.items()},
        ),
    )
    both = law_of_optima(skewed, "batch_tokens", CELL)
    on_size, (low, high) = both.params[CELL[0]], both.interval(CELL[0])
    cost = 100 * regret(runs, _rule, cell=CELL, hyper=HYPER)["excess"]
    return Reproduction(
        title="Step Law: the rule and the released runs",
        source=DATASET.paper,
        rows=(_regret_row(cost), *_summary_rows(released), *_constant_rows(methods)),
        notes=(
            f"the authors' recipe on the released runs keeps {len(near)} and gives other constants "
            "than the paper: theirs are the mean of 1000 fits whose runs are not released",
            "runs of one cell are not independent: resampled by cell, the intervals widen",
            "the bowls are steeper at high lr, so a quadratic puts the best lr too low. "
            + ". ".join(optima.warnings),
            f"quartics within {WINDOW:.0%} move least when the window is halved, and their law of "
            f"lr agrees with the published one: over windows of {_spread(runs)}. Their law of "
            "batch with D alone does not",
            f"the best batch falls with size, N^{on_size:.2f} ({low:.2f}, {high:.2f}) by the "
            f"quartics once N is allowed, with D^{both.params['tokens']:.2f}; Step Law has D alone",
            f"the rule costs little by any method, {cost.max():.2f} % at worst: a factor of 2 in "
            f"either hyperparameter costs {_doubling(optima):.2f} % at the median",
        ),
        figure=_draw(runs, {"quadratic": optima, "quartic": skewed}, methods),
    )


def _spread(runs: Any) -> str:
    """The exponents of lr by quartics, over the windows that hold enough runs."""
    found = []
    for within in WINDOWS:
        optima = optimum_per_cell(runs, cell=CELL, hyper=HYPER, within=within, degree=4)
        found.append(law_of_optima(optima, "lr", CELL, bootstrap=0).estimate[1:])
    (low_n, low_d), (high_n, high_d) = np.min(found, axis=0), np.max(found, axis=0)
    return (
        f"{min(WINDOWS):.0%} to {max(WINDOWS):.0%}, N^{low_n:.2f} to N^{high_n:.2f} and "
        f"D^{low_d:.2f} to D^{high_d:.2f}"
    )


def _rule(cell: Mapping[str, float]) -> Mapping[str, float]:
    return recommend(by_name("steplaw2025"), **cell).values


def _regret_row(cost: Any) -> Row:
    return Row(
        "mean excess loss of the rule, %",
        0.094,
        float(cost.mean()),
        0.002,
        f"nearest run of each of the {len(cost)} released cells; the README has 0.09",
    )


def _summary_rows(released: Any) -> tuple[Row, ...]:
    rows = []
    for name, (mean, low, high) in SUMMARY.items():
        column = released[name].to_numpy(float)
        ends = np.quantile(column, [0.025, 0.975])
        rows += [
            Row(f"released fits, mean {name}", mean, float(column.mean()), 1e-9),
            Row(f"released fits, 2.5 % {name}", low, float(ends[0]), 1e-9),
            Row(f"released fits, 97.5 % {name}", high, float(ends[1]), 1e-9),
        ]
    return tuple(rows)


def _constant_rows(methods: tuple[Method, ...]) -> tuple[Row, ...]:
    published = by_name("steplaw2025").powers
    rows = []
    for method in methods:
        name = method.name.replace("\n", " ")
        for hyper, law in method.laws.items():
            wanted = {
                "coefficient": published[hyper].coefficient,
                **published[hyper].exponents,
            }
            for constant, value in wanted.items():
                low, high = law.interval(constant)
                inside = "inside" if low <= value <= high else "outside"
                why = f"published {inside} ({low:.3g}, {high:.3g})"
                what = f"{name}: {hyper} {constant}"
                rows.append(Row(what, value, law.params[constant], None, why))
    return tuple(rows)


def _doubling(optima: Optima) -> float:
    return float(np.median([100 * each.doubling / each.loss for each in optima.entries]))


def _draw(runs: Any, optima: Mapping[str, Optima], methods: tuple[Method, ...]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(SIZE[0], 2.5 * SIZE[1]), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1.15, 1))
        _bowl(above, runs, optima)
        _exponents(below, methods)
        return figure


def _bowl(axes: Any, runs: Any, optima: Mapping[str, Optima]) -> None:
    mine = runs
    for name, value in SHOWN.items():
        mine = mine[np.isclose(mine[name], value, rtol=1e-6)]
    excess = 100 * (mine["loss"] / mine["loss"].min() - 1)
    shown = mine[excess < 2 * LEVELS[-1]]
    lines = axes.tricontour(
        np.log(shown["lr"]), np.log(shown["batch_tokens"]), excess[shown.index],
        levels=LEVELS, colors=MUTED, linewidths=0.9,
    )  # fmt: skip
    axes.clabel(lines, fmt=lambda level: f"{level:g} %", fontsize=8)
    x, y = np.log(mine["lr"]), np.log(mine["batch_tokens"])
    axes.plot(x, y, ".", color=MUTED, markersize=2, alpha=0.6)
    best = mine["loss"].idxmin()
    axes.plot(x[best], y[best], "o", fillstyle="none", color=INK, markersize=9, label="best run")
    for (name, fitted), mark in zip(optima.items(), ("s", "D"), strict=True):
        found = {
            each.hyper: each
            for each in fitted.entries
            if all(np.isclose(each.cell[key], value, rtol=1e-6) for key, value in SHOWN.items())
        }
        centre = {key: np.log(each.value) for key, each in found.items()}
        bars = {
            key: np.abs(np.log(each.interval()) - centre[key])[:, None]
            for key, each in found.items()
        }
        axes.errorbar(
            centre["lr"], centre["batch_tokens"], xerr=bars["lr"], yerr=bars["batch_tokens"],
            fmt=mark, color=FITTED, markersize=4, capsize=2, label=f"{name} vertex",
        )  # fmt: skip
    rule = _rule(SHOWN)
    axes.plot(
        np.log(rule["lr"]), np.log(rule["batch_tokens"]), "X", color=HELD, markersize=8,
        label="Step Law",
    )  # fmt: skip
    size, tokens = (quantity(value) for value in SHOWN.values())
    axes.set_title(f"excess loss at N = {size}, D = {tokens}", loc="left")
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel("batch, tokens")
    _log_labels(axes.xaxis, (5e-4, 2e-3, 8e-3), "{:g}".format)
    _log_labels(axes.yaxis, (1e5, 3e5, 1e6, 3e6), quantity)
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.1), ncols=2)


def _log_labels(axis: Any, values: tuple[float, ...], text: Any) -> None:
    axis.set_ticks(np.log(values), [text(value) for value in values])


def _exponents(axes: Any, methods: tuple[Method, ...]) -> None:
    """The exponents of each method, with their intervals, and lines at the published ones."""
    published = by_name("steplaw2025").powers
    columns = {
        ("lr", "params_nonembedding"): "lr_coefN",
        ("lr", "tokens"): "lr_coefD",
        ("batch_tokens", "tokens"): "bs_coefD",
    }
    names = ["published", *(method.name for method in methods)]
    for at, (hyper, variable, label) in enumerate(EXPONENTS):
        printed = published[hyper].exponents[variable]
        _, low, high = SUMMARY[columns[hyper, variable]]
        points = [(printed, low, high), *(each.interval(hyper, variable) for each in methods)]
        shift = 0.22 * (at - 1)
        shade = (FITTED, HELD, MUTED)[at]
        value, below, above = np.array(points).T
        axes.errorbar(
            value, np.arange(len(points)) + shift, xerr=[value - below, above - value],
            fmt=MARKERS[at], color=shade, markersize=4.5, capsize=2, linewidth=1.1, label=label,
        )  # fmt: skip
        axes.axvline(printed, color=shade, linewidth=0.8, linestyle=("-", "--", ":")[at], zorder=0)
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("exponent, 95 % interval")
    axes.set_title("exponents by recipe: they differ from the paper", loc="left")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.17), ncols=3, columnspacing=1)
