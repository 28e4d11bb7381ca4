"""Figures of one fit, each drawn on axes that the caller made: `--plot`, and `ax=` in a notebook.

`compute` shows the rows, the law and its interval against compute; `frontier` the best parameters
and tokens of a budget; `residuals` the rows about the law. A plan is a star with its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.result import check_fit
from analysis.fitting.types import Allocation
from analysis.plotting.labels import label
from analysis.plotting.numbers import quantity
from analysis.plotting.style import (
    FITTED,
    HELD,
    INK,
    MUTED,
    SIZE,
    band,
    house_style,
    log_log,
    log_ticks,
    panels,
    round_ticks,
)
from scaling.common.errors import UserError, check_known, stated

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult

BEYOND = 3.0  # times the largest compute to which a law is drawn
BEST = "law, best split"
STAR: Mapping[str, Any] = {"color": HELD, "marker": "*", "markersize": 13, "linestyle": "none",
                           "markeredgecolor": "white", "zorder": 6}  # fmt: skip


def plot(
    result: FitResult, kind: str = "compute", plans: Sequence[Allocation] = (), ax: Any = None
) -> Any:
    """One of the figures above, on `ax` or on axes of its own; returns the axes."""
    from matplotlib.axes import Axes

    check_fit(result)
    check_known("plot", kind, KINDS)
    check_plans(plans)
    if ax is not None and not isinstance(ax, Axes):
        raise UserError(f"{stated('ax', ax)}: give axes of matplotlib, such as plt.gca()")
    with house_style():
        axes = panels(1).axes[0] if ax is None else ax
        KINDS[kind](axes, result, plans)
    return axes


def check_plans(plans: object) -> None:
    """Refuse what is no list of plans, each of one budget."""
    if not isinstance(plans, Sequence) or isinstance(plans, str | bytes):
        raise UserError(f"{stated('plans', plans)}: give a list of what optimal() returns")
    for plan in plans:
        if not (isinstance(plan, Allocation) and np.size(plan.flops) == 1):
            raise UserError(f"{stated('plans', plan)}: give what optimal() returns of one budget")


def draw(kinds: Sequence[str], result: FitResult, plans: Sequence[Allocation] = ()) -> Any:
    """Several of them, side by side."""
    with house_style():
        figure = panels(len(kinds), shared=False)
        figure.set_size_inches(SIZE[0] * len(kinds), 1.15 * SIZE[1])
        for axes, kind in zip(figure.axes, kinds, strict=True):
            KINDS[kind](axes, result, plans)
    return figure


def compute(axes: Any, result: FitResult, plans: Sequence[Allocation] = ()) -> None:
    """Loss against compute; the law is that of the best split of each budget."""
    if not has_compute(result):
        raise UserError(f"law '{result.law.name}' has no compute: plot 'residuals'")
    one = result.law.variables[0] if len(result.law.variables) == 1 else None
    seen = result.budgets
    axes.plot(seen, result.points.loss, "o", color=MUTED, fillstyle="none", label="rows")
    held = _held_out(axes, result)
    grid = np.geomspace(seen.min(), max([BEYOND * seen.max(), *held, *_budgets(plans)]) * 1.2, 80)
    name = label(result.recipe.columns[one]) if one else "compute 6ND, FLOPs"
    log_log(axes, name, label(result.recipe.loss))
    law = None
    if one is not None:
        found = result.predict_at({one: grid})
        law = (found.value, found.low, found.high)
    elif result.has_optimum:
        law = result.optimal(grid).loss
    if law is not None:
        axes.plot(grid, law[0], color=FITTED, linestyle="--", label="law" if one else BEST)
    for plan in plans:
        _star(axes, plan, plan.loss, _said(plan))
    if law is not None:
        band(axes, grid, law)
    round_ticks(axes)
    _legend_above(axes)


def frontier(axes: Any, result: FitResult, plans: Sequence[Allocation] = ()) -> None:
    """The best parameters and tokens of each budget."""
    if not result.has_optimum:
        raise UserError(f"law '{result.law.name}': these rows determine no compute optimum")
    seen = result.budgets
    grid = np.geomspace(seen.min(), max([BEYOND * seen.max(), *_budgets(plans)]) * 1.2, 80)
    best = result.optimal(grid)
    log_log(axes, "compute 6ND, FLOPs", "parameters; training tokens")
    for name, line, mark in (("tokens", "--", "^"), ("params", "-", "o")):
        values = result.points.variables[name]
        axes.plot(seen, values, mark, color=MUTED, fillstyle="none", markersize=4,
                  label=f"{name} of the rows")  # fmt: skip
        axes.plot(grid, getattr(best, name)[0], color=FITTED, linestyle=line, label=f"best {name}")
        for plan in plans:
            _star(axes, plan, getattr(plan, name))
    for ends in (best.tokens, best.params):
        band(axes, grid, ends)
    round_ticks(axes)
    _legend_above(axes)


def residuals(axes: Any, result: FitResult, plans: Sequence[Allocation] = ()) -> None:
    """Rows about the law, in percent, against their loss: a slope is an error of the law."""
    axes.axhline(0, color=MUTED, linewidth=0.9)
    axes.plot(result.points.loss, 100 * result.residuals, "o", color=FITTED, markersize=4,
              label="fitted")  # fmt: skip
    held = result.held_out if result.recipe.holdout else None
    if held is not None:
        off = 100 * np.log(np.asarray(held.measured) / np.asarray(held.predicted))
        axes.plot(held.measured, off, "^", color=HELD, markersize=5, fillstyle="none",
                  label="held out")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"measured {label(result.recipe.loss)}")
    axes.set_ylabel("measured above fitted, %")
    log_ticks(axes.xaxis, *axes.get_xlim())
    _legend_above(axes)


KINDS: Mapping[str, Callable[[Any, FitResult, Sequence[Allocation]], None]] = {
    "compute": compute,
    "frontier": frontier,
    "residuals": residuals,
}


def has_compute(result: FitResult) -> bool:
    """True where the rows lie on an axis of compute, or of the law's one variable."""
    names = set(result.law.variables)
    return len(names) == 1 or names == {"params", "tokens"}


def _budgets(plans: Sequence[Allocation]) -> list[float]:
    return [float(plan.flops) for plan in plans]


def _legend_above(axes: Any) -> None:
    """The legend outside, where it hides no row."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _held_out(axes: Any, result: FitResult) -> list[float]:
    """The rows that the fit did not see; their budgets."""
    if result.held_out is None:
        return []
    points = result.held_out.points
    names = result.law.variables
    x = points.variables[names[0]] if len(names) == 1 else (
        6 * points.variables["params"] * points.variables["tokens"]
    )  # fmt: skip
    axes.plot(x, points.loss, "^", color=HELD, fillstyle="none", label="held out")
    return [float(each) for each in x]


def _star(axes: Any, plan: Allocation, ends: Sequence[Any], name: str | None = None) -> None:
    value, low, high = (float(each) for each in ends)
    axes.plot(float(plan.flops), value, label=name, **STAR)
    if low == low and high == high:
        axes.plot([float(plan.flops)] * 2, [low, high], color=INK, linewidth=1.6, zorder=5)


def _said(plan: Allocation) -> str:
    size, data = (quantity(float(ends[0])) for ends in (plan.params, plan.tokens))
    return f"plan: {size} on {data} tokens"
