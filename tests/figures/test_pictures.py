"""Letters of pictures, at every width: none lies over another, and none leaves the picture."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from quick import cases

from analysis.figures import names, reproduce
from analysis.plotting.style import house_style, letter, log_ticks
from analysis.plotting.widths import WIDTHS, to_width
from scaling.common.errors import UserError

QUICK = ("evo_isoflop", "isoflop_collection", "xlstm_isoflop", "supercollapse")


def collisions(figure: Any) -> list[str]:
    """Pairs of neighbouring tick labels whose boxes overlap."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            shown = [t.label1 for t in ticks if low <= t.get_loc() <= high]
            labels = [label for label in shown if label.get_visible() and label.get_text()]
            boxes = [(label.get_window_extent(), label.get_text()) for label in labels]
            ordered = sorted(boxes, key=lambda each: (each[0].x0, each[0].y0))
            found += [
                f"{one} / {other}"
                for (a, one), (b, other) in pairwise(ordered)
                if a.overlaps(b) and one != other
            ]
    return found


def misplaced(figure: Any) -> list[str]:
    """Titles of a panel that overlap; legends, titles and names of axes that leave the picture."""
    found, lettered = [], []
    for axes in figure.axes:
        titles = [axes._left_title, axes.title, axes._right_title]
        boxes = [(each.get_window_extent(), each.get_text()) for each in titles if each.get_text()]
        found += [
            f"{one} / {two}" for (a, one), (b, two) in combinations(boxes, 2) if a.overlaps(b)
        ]
        names = [label for label in (axes.xaxis.label, axes.yaxis.label) if label.get_text()]
        lettered += [*boxes, *((each.get_window_extent(), each.get_text()) for each in names)]
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    lettered += [(each.get_window_extent(), "legend") for each in legends if each]
    for box, name in lettered:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            found.append(f"{name} at {box.extents.round()} of {figure.bbox.extents}")
    return found


@pytest.mark.parametrize(
    "name",
    cases(names(), QUICK),
)
def test_letters_lie_apart_and_inside(name: str):
    with house_style():
        try:
            figure = reproduce(name).figure
        except UserError as missing:
            pytest.skip(str(missing))
        letter(figure)
        for width in ("its own", "page", "column"):
            if width in WIDTHS:
                to_width(figure, width)
            found = collisions(figure) + misplaced(figure)
            assert not found, f"{width}: {found}"


@pytest.mark.parametrize("width", WIDTHS)
def test_named_rows_and_a_letter_beside_a_title_lie_apart_at_each_width(width: str):
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(9.0, 5.0), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        panels[0].set_yticks(range(24), [f"row {k}" for k in range(24)])
        panels[1].set_title("400M model, unseen schedules", fontsize=9.5)
        letter(figure)
        to_width(figure, width)
        assert not collisions(figure) + misplaced(figure)


def test_a_collision_is_seen():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.set_xticks([0.5, 0.51], ["100M", "200M"])
    assert collisions(figure) == ["100M / 200M"]
    axes.set_title("a", loc="left")
    axes.set_title("a title as long as the panel is wide")
    figure.legend(handles=axes.plot([1], label="a name"), loc="upper left", bbox_to_anchor=(0.9, 1))
    assert [each[:6] for each in misplaced(figure)] == ["a / a ", "a titl", "legend"]


def test_a_narrow_log_axis_has_fewer_numbers():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4, 2))
    for axes in figure.subplots(1, 2):
        axes.set(xscale="log", yscale="log", xlim=(7e7, 1.5e9), ylim=(7e7, 1.5e9))
        log_ticks(axes.xaxis, 7e7, 1.5e9)
        log_ticks(axes.yaxis, 7e7, 1.5e9)
        assert 2 <= len(axes.get_xticks()) < len(axes.get_yticks())
    assert not collisions(figure)
