"""Residuals of fits as `compare` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult


def draw(results: Sequence[FitResult]) -> Any:
    """A panel for each law, with its name."""
    from analysis.inference.compare import title
    from analysis.inference.plots import residuals
    from analysis.plotting import style

    with style.house_style():
        figure = style.panels(len(results))
        for axes, result in zip(figure.axes, results, strict=True):
            residuals(axes, result)
            axes.set_title(title(result))
        for axes in figure.axes[1:]:
            axes.set_ylabel("")
            axes.get_legend().remove()
        return figure
