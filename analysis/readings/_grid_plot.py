"""Figure of the bowls of a grid: a panel per cell, over learning rate and batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.hyperparameters.optimum import Optima, Where
from analysis.hyperparameters.surface import JointSurface
from analysis.plotting.numbers import quantity
from analysis.plotting.style import FITTED, HELD, INK, MUTED, SIZE, house_style

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (0.5, 1, 2, 4, 8)  # contours, % above the bottom
COLUMNS = 3
MARGIN = 0.4  # around the grid, in natural logarithms
SMALLEST, LARGEST = 3.0, 14.0  # markers: the best run, and one 10 % above it


def draw_bowls(table: pd.DataFrame, optima: Optima, surface: JointSurface, loss: str) -> Any:
    """Every fitted cell, from the smallest model to the largest."""
    from matplotlib.figure import Figure

    cells = [runs for _, runs in table.groupby(list(optima.cell))]
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    with house_style():
        figure = Figure(
            figsize=(0.62 * SIZE[0] * columns, 0.62 * SIZE[0] * rows), layout="constrained"
        )
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, runs in zip(grid.flat, cells, strict=False):
            _bowl(axes, runs, table, optima, surface, loss)
        for axes in grid.flat[len(cells) :]:
            axes.set_visible(False)
        rates = sorted(table[optima.hyper[0]].unique())
        batches = sorted(table["batch_tokens"].unique())
        grid[0, 0].set_xlim(math.log(rates[0]) - MARGIN, math.log(rates[-1]) + MARGIN)
        grid[0, 0].set_ylim(math.log(batches[0]) - MARGIN, math.log(batches[-1]) + MARGIN)
        for axes in grid[-1]:
            axes.set_xticks(np.log(rates[::2]), [f"{rate:.2g}" for rate in rates[::2]])
            axes.set_xlabel("learning rate")
        for axes in grid[:, 0]:
            axes.set_yticks(np.log(batches), [quantity(batch) for batch in batches])
            axes.set_ylabel("batch, tokens")
        return figure


def _bowl(
    axes: Any,
    runs: pd.DataFrame,
    table: pd.DataFrame,
    optima: Optima,
    surface: JointSurface,
    loss: str,
) -> None:
    cell = {name: float(runs[name].iloc[0]) for name in optima.cell}
    hyper = list(optima.hyper)
    x, y = np.log(runs[hyper].to_numpy(float)).T
    losses = runs[loss].to_numpy(float)
    excess = losses / losses.min() - 1
    near = np.exp(-excess / 0.03)
    axes.scatter(x, y, s=(SMALLEST + (LARGEST - SMALLEST) * near) ** 2 / 2, color=MUTED, alpha=0.6,
                 linewidths=0)  # fmt: skip
    best = int(np.argmin(losses))
    axes.plot(x[best], y[best], "o", fillstyle="none", color=INK, markersize=13)
    if surface.laws:
        bottom = [
            math.log(float(law.predict(**{name: cell[name] for name in law.variables}).value))
            for law in (surface.laws[name] for name in hyper)
        ]
        low, high = np.log(table[hyper].agg(["min", "max"]).to_numpy())
        u, v = np.meshgrid(*np.linspace(low - MARGIN, high + MARGIN, 80).T)
        away = np.stack([u - bottom[0], v - bottom[1]])
        bowl = 100 * np.expm1(np.einsum("hxy,hg,gxy->xy", away, surface.curvature, away))
        lines = axes.contour(u, v, bowl, levels=LEVELS, colors=FITTED, linewidths=0.8)
        axes.clabel(lines, fmt=lambda level: f"{level:g} %", fontsize=7)
        axes.plot(*bottom, "+", color=FITTED, markersize=11, markeredgewidth=2)
    mine = {
        each.hyper: each for each in optima.entries
        if all(np.isclose(each.cell[name], value) for name, value in cell.items())
    }  # fmt: skip
    pair = [mine[name] for name in hyper]
    if all(each.status is Where.INSIDE for each in pair):
        centre = [math.log(each.value) for each in pair]
        reach_of = [np.log(each.interval()) for each in pair]
        bars = [np.abs(ends - at)[:, None] for ends, at in zip(reach_of, centre, strict=True)]
        axes.errorbar(*centre, xerr=bars[0], yerr=bars[1], fmt="s", color=HELD, markersize=4,
                      capsize=2)  # fmt: skip
    size, tokens = (quantity(cell[name]) for name in optima.cell)
    axes.set_title(f"N = {size}, D = {tokens}")
