"""Residuals of fits as `fit` and `compare` draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._format import label

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult


def draw(results: Sequence[FitResult]) -> Any:
    """Residuals against measured loss, a panel for each law: a slope is an error of the law."""
    from analysis.inference.compare import title
    from analysis.plotting import style

    with style.house_style():
        figure = style.panels(len(results))
        for axes, result in zip(figure.axes, results, strict=True):
            axes.axhline(0, color=style.MUTED, linewidth=0.9)
            axes.plot(
                result.points.loss, 100 * result.residuals, "o", color=style.FITTED,
                markersize=4, label="fitted",
            )  # fmt: skip
            held = result.held_out if result.recipe.holdout else None
            if held is not None:
                off = [math.log(m / p) for m, p in zip(held.measured, held.predicted, strict=True)]
                axes.plot(
                    held.measured, [100 * each for each in off], "^", color=style.HELD,
                    markersize=5, fillstyle="none", label="held out",
                )  # fmt: skip
            axes.set_title(title(result))
            axes.set_xscale("log")
            axes.set_xlabel(f"measured {label(result.recipe.loss)}")
            style.log_ticks(axes.xaxis, *axes.get_xlim())
        figure.axes[0].set_ylabel("measured above fitted, %")
        figure.axes[0].legend()
        return figure
