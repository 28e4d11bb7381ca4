"""Charts compile, keep every number, and name their series."""

from __future__ import annotations

import json

import numpy as np
import vl_convert

from analysis.plotting.marks import panels
from analysis.plotting.style import canvas
from analysis.plotting.style import panels as grid
from analysis.plotting.vega import chart, dark, rows


def test_a_chart_compiles_and_names_its_series():
    figure, axes = canvas()
    x = np.geomspace(1, 100, 5)
    axes.plot(x, 1 / x, "o-", color="#1f4e6b", label="law")
    axes.fill_between(x, 0.5 / x, 2 / x, color="#1f4e6b", alpha=0.2)
    axes.errorbar(x, 1 / x, yerr=0.1 / x, fmt="*", color="#b03a1c", label="held out")
    axes.set_xscale("log")
    axes.set_xlabel("tokens")
    found = panels(figure)
    spec = chart(found, "a law")
    svg = vl_convert.vegalite_to_svg(json.dumps({**spec, "width": 300}))
    for text in ("law", "held out", "tokens"):
        assert f">{text}</text>" in svg
    table = list(rows(found))
    law = [(row["x"], row["y"]) for row in table if (row["series"], row["kind"]) == ("law", "line")]
    assert law == list(zip(x, 1 / x, strict=True))
    assert {row["kind"] for row in table} == {"line", "point", "band", "interval"}


def test_panels_stand_as_in_the_figure():
    figure = grid(4)
    for at, axes in enumerate(figure.axes):
        axes.plot([1, 2], [at, at + 1], label="one")
        axes.set_title(f"cell {at}")
    spec = chart(panels(figure), "four cells")
    assert [view["title"] for view in spec["concat"]] == [f"cell {at}" for at in range(4)]
    assert spec["columns"] == 3
    assert "cell 3" in vl_convert.vegalite_to_svg(json.dumps(spec))


def test_ink_and_paper_change_places_in_the_dark():
    ink, paper = dark("#1d1b18"), dark("#ffffff")
    assert int(ink[1:3], 16) > 200 and int(paper[1:3], 16) < 60
