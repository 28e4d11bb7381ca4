"""Letters of pictures: tick labels of one axis never lie over each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from paths import needs_tables

from analysis.figures import reproduce
from analysis.plotting.style import house_style, letter

NAMES = ("evo_isoflop", "isoflop_collection", "xlstm_isoflop", "supercollapse")


def collisions(figure: Any) -> list[str]:
    """Pairs of neighbouring tick labels whose boxes overlap."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            labels = [t.label1 for t in ticks if low <= t.get_loc() <= high and t.label1.get_text()]
            boxes = [(label.get_window_extent(), label.get_text()) for label in labels]
            ordered = sorted(boxes, key=lambda each: (each[0].x0, each[0].y0))
            found += [
                f"{one} / {other}"
                for (a, one), (b, other) in pairwise(ordered)
                if a.overlaps(b) and one != other
            ]
    return found


@pytest.mark.parametrize("name", [pytest.param(each, marks=needs_tables(each)) for each in NAMES])
def test_tick_labels_do_not_collide(name: str):
    with house_style():
        figure = reproduce(name).figure
        letter(figure)
        assert len(figure.axes) > 1
        assert not collisions(figure)


def test_a_collision_is_seen():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 2))
    axes = figure.subplots()
    axes.set_xticks([0.5, 0.51], ["100M", "200M"])
    assert collisions(figure) == ["100M / 200M"]
