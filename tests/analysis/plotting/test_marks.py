"""A figure read back: the numbers that were drawn, under the names of its legend."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.plotting.marks import Mark, panels
from analysis.plotting.style import canvas

X = np.array([1e3, 1e4, 1e6])
Y = np.array([3.0, 2.5, 2.25])


@pytest.fixture
def marks() -> dict[str, list[Mark]]:
    figure, axes = canvas()
    axes.plot(X, Y, "o--", color="#112233", label="runs")
    axes.fill_between(X, Y - 0.5, Y + 1, color="#445566", alpha=0.2)
    axes.errorbar(X, Y, yerr=[[0.1] * 3, [0.2] * 3], fmt="s", color="#778899", label="fitted")
    axes.axhline(2.0, color="#aabbcc")
    axes.annotate("here", (1e4, 2.5), xytext=(3, 0), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlim(1e2, 1e7)
    (panel,) = panels(figure)
    assert panel.x.log and not panel.y.log
    assert panel.x.limits == (1e2, 1e7)
    assert (1e4, "10⁴") in [(round(place), text) for place, text in panel.x.ticks]
    found: dict[str, list[Mark]] = {}
    for mark in panel.marks:
        found.setdefault(mark.kind, []).append(mark)
    return found


def test_lines_and_points_are_exact(marks: dict[str, list[Mark]]):
    drawn = next(mark for mark in marks["line"] if mark.series == "runs")
    assert (drawn.points == np.stack([X, Y], axis=1)).all()
    assert drawn.dash == "--" and drawn.color == "#112233"
    assert {mark.shape for mark in marks["point"]} == {"o", "s"}


def test_a_band_has_both_its_curves(marks: dict[str, list[Mark]]):
    (band,) = marks["band"]
    np.testing.assert_allclose(band.points, np.stack([X, Y - 0.5], axis=1))
    np.testing.assert_allclose(band.ends, np.stack([X, Y + 1], axis=1))
    assert band.opacity == 0.2


def test_intervals_belong_to_their_points(marks: dict[str, list[Mark]]):
    (bars,) = marks["interval"]
    assert bars.series == "fitted"
    np.testing.assert_allclose(bars.points[:, 1], Y - 0.1)
    np.testing.assert_allclose(bars.ends[:, 1], Y + 0.2)
    assert [mark.series for mark in marks["point"]].count("fitted") == 1


@pytest.mark.parametrize(("errors", "drawn"), [([np.nan] * 3, 0), ([0.1, np.nan, 0.1], 2)])
def test_an_unknown_error_has_no_interval(errors: list[float], drawn: int):
    """As of a valley of one seed."""
    figure, axes = canvas()
    axes.errorbar(X, Y, yerr=errors)
    (panel,) = panels(figure)
    assert sum(len(mark.points) for mark in panel.marks if mark.kind == "interval") == drawn


def test_a_rule_spans_the_axes(marks: dict[str, list[Mark]]):
    rule = next(mark for mark in marks["line"] if mark.color == "#aabbcc")
    np.testing.assert_allclose(rule.points, [[1e2, 2.0], [1e7, 2.0]])
    assert marks["text"][0].text == ("here",)


def test_a_series_takes_the_name_of_the_legend_entry_that_looks_like_it():
    from matplotlib.lines import Line2D

    figure, axes = canvas()
    for color in ("#111111", "#222222"):
        axes.plot(X, Y, "^", color=color)
    handle = Line2D([], [], color="#222222", marker="^", linestyle="none", label="N = 20k")
    figure.legend(handles=[handle])
    (panel,) = panels(figure)
    assert [mark.series for mark in panel.marks] == ["", "N = 20k"]
