"""Figures at the widths of a paper: panels below each other, legends in fewer columns."""

from __future__ import annotations

import math
import textwrap
from itertools import pairwise
from typing import Any

WIDTHS = {"column": 3.5, "page": 7.0}  # inches
LEAST = 2.2  # inches, of a panel with its labels
TALLEST = 0.8  # height over width of a panel that goes below another
LINE = 1.3  # height of a named row over the size of its letters
BESIDE = 1.0  # inches of a panel that are not its title's: numbers, and the panel's letter
LETTER = 0.5  # width of a letter over its size
INSIDE = 0.75  # of its panel's width, that a legend of a panel may take


def to_width(figure: Any, width: str) -> None:
    """Fit a figure to the width of a column or of a page; letters keep their size.

    Panels that would be narrower than `LEAST` go below each other, row by row. A legend that is too
    wide has fewer columns, and the figure is higher by the rows that it gained. Titles and names of
    axes wrap. A panel whose rows have names is as high as these need.
    """
    across, high = figure.get_size_inches()
    wanted = WIDTHS[width]
    grids = [axes.get_subplotspec().get_gridspec() for axes in figure.axes]
    columns = max((grid.ncols for grid in grids), default=1)
    kept = min(columns, max(1, int(wanted / LEAST)))
    high *= wanted / across
    if kept < columns:
        high = _reflow(figure, kept, high, wanted)
    else:
        high = max([high, *map(_named_rows, figure.axes)])
    figure.set_size_inches(wanted, high)
    figure.set_size_inches(wanted, high + _narrow_legends(figure, wanted, wanted / kept))
    for axes in figure.axes:
        axes.xaxis.label.set_wrap(True)
        for side in ("left", "center", "right"):
            if title := axes.get_title(loc=side):
                axes.set_title(title, loc=side, wrap=True)
        if axes.get_title(loc="left") and axes.get_title():
            room = 72 * (wanted / kept - BESIDE) / (LETTER * axes.title.get_size())
            axes.set_title(textwrap.fill(axes.get_title(), int(room)))


def _reflow(figure: Any, columns: int, high: float, across: float) -> float:
    """Put the panels into fewer columns, each with its own labels; the height in inches.

    `high` is the height of the figure in its old grid, scaled to the new width.
    """
    from matplotlib.gridspec import GridSpec

    panels = [axes for axes in figure.axes if axes.get_visible()]
    specs = [axes.get_subplotspec() for axes in panels]
    old = specs[0].get_gridspec()
    ratios = old.get_height_ratios()
    for axes, spec in zip(panels, specs, strict=True):
        _label(axes, [other for other, its in zip(panels, specs, strict=True) if its != spec])
    grown = old.ncols / columns
    heights = [
        max(
            min(
                grown * high * sum(ratios[row] for row in spec.rowspan) / sum(ratios),
                TALLEST * across / columns,
            ),
            _named_rows(axes),
        )
        for axes, spec in zip(panels, specs, strict=True)
    ]
    rows = [heights[at : at + columns] for at in range(0, len(heights), columns)]
    tall = [max(row) for row in rows]
    grid = GridSpec(len(rows), columns, figure=figure, height_ratios=tall)
    for at, axes in enumerate(panels):
        axes.set_subplotspec(grid[divmod(at, columns)])
    return sum(tall)


def _named_rows(axes: Any) -> float:
    """The inches that a panel needs, so that names beside its rows lie apart; 0 without names."""
    from matplotlib.ticker import FixedLocator

    places = sorted(axes.get_yticks())
    fixed = isinstance(axes.yaxis.get_major_locator(), FixedLocator)
    if len(places) < 2 or not fixed or axes.get_yscale() != "linear":
        return 0.0
    low, high = sorted(axes.get_ylim())
    rows = (high - low) / min(after - before for before, after in pairwise(places))
    return float(BESIDE + rows * LINE * axes.yaxis.get_major_ticks(1)[0].label1.get_size() / 72)


def _label(axes: Any, others: list[Any]) -> None:
    """Show the numbers and the names that a panel had in common with its row and its column."""
    spec = axes.get_subplotspec()
    axes.tick_params(labelleft=True, labelbottom=True)
    row = [each for each in others if each.get_subplotspec().rowspan == spec.rowspan]
    column = [each for each in others if each.get_subplotspec().colspan == spec.colspan]
    if not axes.get_ylabel():
        axes.set_ylabel(next((each.get_ylabel() for each in row if each.get_ylabel()), ""))
    if not axes.get_xlabel():
        axes.set_xlabel(next((each.get_xlabel() for each in column if each.get_xlabel()), ""))


def _narrow_legends(figure: Any, across: float, panel: float) -> float:
    """Give legends as many columns as have room; the inches that they are higher by."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    own = [legend for axes in figure.axes if (legend := axes.get_legend())]
    for legend in own:  # marks may lie below it
        legend.set_frame_on(True)
        legend.get_frame().set(alpha=0.8, linewidth=0)
    rooms = [
        *((each, across) for each in figure.legends),
        *((each, INSIDE * panel) for each in own),
    ]
    grown = 0.0
    for legend, room in rooms:
        box = legend.get_children()[0]
        before = box.get_bbox(renderer).height
        while box.get_bbox(renderer).width > room * figure.dpi and _drop_column(legend):
            pass
        grown += (box.get_bbox(renderer).height - before) / figure.dpi
    return grown


def _drop_column(legend: Any) -> bool:
    """Put the entries of a legend into one column less; False where it has one."""
    from matplotlib.offsetbox import VPacker

    _, grid = legend.get_children()[0].get_children()
    columns = grid.get_children()  # the list that the legend draws
    if len(columns) < 2:
        return False
    entries = [entry for column in columns for entry in column.get_children()]
    long = math.ceil(len(entries) / (len(columns) - 1))
    look = {"pad": columns[0].pad, "sep": columns[0].sep, "align": columns[0].align}
    packed = [
        VPacker(children=entries[at : at + long], **look) for at in range(0, len(entries), long)
    ]
    for column in packed:
        column.set_figure(legend.get_figure())
    columns[:] = packed
    return True
