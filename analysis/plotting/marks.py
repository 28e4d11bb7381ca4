"""A drawn figure read back as data: its panels, with their lines, points, intervals and bands.

All coordinates are those of the axes. A series takes its name from its label, or from the entry of
a legend that looks like it. So a figure is drawn once, and its data are those of the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.tables.points import Array

Kind = Literal["line", "point", "interval", "band", "text"]
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Mark:
    """Points (n, 2) of one kind and look; `ends` (n, 2) are the far ends of intervals and bands."""

    kind: Kind
    points: Array
    color: str
    series: str = ""
    ends: Array | None = None
    opacity: float = 1.0
    shape: str = ""  # matplotlib's marker
    dash: str = "-"  # matplotlib's line style
    width: float = 1.0
    filled: bool = True
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Axis:
    """One axis: `limits` from left to right or bottom to top, and labelled ticks."""

    label: str
    log: bool
    limits: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes at a place of the figure's grid."""

    row: int
    column: int
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


def panels(figure: Any) -> tuple[Panel, ...]:
    """The visible panels, row by row."""
    names = _legend_names(figure)
    found = [_panel(axes, names) for axes in figure.axes if axes.get_visible()]
    return tuple(sorted(found, key=lambda each: (each.row, each.column)))


def _panel(axes: Any, names: Mapping[Any, str]) -> Panel:
    place = axes.get_subplotspec()
    return Panel(
        row=place.rowspan.start if place else 0,
        column=place.colspan.start if place else 0,
        title=axes.get_title(),
        x=_axis(axes.xaxis),
        y=_axis(axes.yaxis),
        marks=tuple(_marks(axes, names)),
    )


def _axis(axis: Any) -> Axis:
    low, high = axis.get_view_interval()
    limits = (float(low), float(high))
    places = axis.get_majorticklocs()
    texts = axis.get_major_formatter().format_ticks(places)
    inside = [
        (float(place), _plain(text))
        for place, text in zip(places, texts, strict=True)
        if min(limits) <= place <= max(limits)
    ]
    return Axis(axis.get_label_text(), axis.get_scale() == "log", limits, tuple(inside))


def _plain(text: str) -> str:
    """Text of a tick without mathematical markup: 10⁵."""
    bare = re.sub(r"\\math\w+|[${}]", "", text).replace("−", "-")
    return re.sub(r"\^(-?\d+)", lambda power: power[1].translate(SUPERSCRIPT), bare)


def _marks(axes: Any, names: Mapping[Any, str]) -> Iterator[Mark]:
    from matplotlib.collections import PathCollection, PolyCollection
    from matplotlib.container import ErrorbarContainer

    within: set[int] = set()
    for group in axes.containers:
        if isinstance(group, ErrorbarContainer):
            line, caps, bars = group.lines
            within |= {id(each) for each in (line, *caps, *bars)}
            name = _own(group.get_label()) or names.get(_look(line), "")
            for bar in bars:
                yield from _intervals(axes, bar, name)
            if line is not None:
                yield from _of_line(axes, line, name)
    for collection in axes.collections:
        if id(collection) in within:
            continue
        name = _own(collection.get_label())
        if isinstance(collection, PathCollection):
            yield _scatter(axes, collection, name)
        elif isinstance(collection, PolyCollection):
            yield from _bands(axes, collection, name)
        else:
            yield from _paths(axes, collection, name)
    for patch in axes.patches:
        corners = _in_data(axes, patch.get_transform(), patch.get_path().vertices)
        low, high = corners.min(axis=0), corners.max(axis=0)
        yield Mark(
            "band", np.array([[low[0], low[1]], [high[0], low[1]]]), _hex(patch.get_facecolor()),
            _own(patch.get_label()), np.array([[low[0], high[1]], [high[0], high[1]]]),
            opacity=_opacity(patch),
        )  # fmt: skip
    for line in axes.lines:
        if id(line) not in within:
            yield from _of_line(axes, line, _own(line.get_label()) or names.get(_look(line), ""))
    for text in axes.texts:
        if text.get_text():
            yield _text(axes, text)


def _of_line(axes: Any, line: Any, name: str) -> Iterator[Mark]:
    points = _in_data(axes, line.get_transform(), line.get_xydata())
    look: dict[str, Any] = {
        "color": _hex(line.get_color()),
        "series": name,
        "opacity": _opacity(line),
        "dash": line.get_linestyle(),
        "width": line.get_linewidth(),
    }
    if line.get_linestyle() not in ("None", "none", "", " ") and len(points) > 1:
        yield Mark("line", points, **look)
    if line.get_marker() not in (None, "None", "none", "", " "):
        filled = line.get_fillstyle() != "none"
        yield Mark("point", points, shape=str(line.get_marker()), filled=filled, **look)


def _intervals(axes: Any, bars: Any, name: str) -> Iterator[Mark]:
    """Error bars; one of an unknown error has no segment, and there may be no other."""
    whole = [each for each in bars.get_segments() if len(each) == 2]
    if whole:
        segments = np.array([_in_data(axes, bars.get_transform(), each) for each in whole])
        yield Mark("interval", segments[:, 0], _hex(bars.get_color()[0]), name, segments[:, 1])


def _scatter(axes: Any, collection: Any, name: str) -> Mark:
    points = _in_data(axes, collection.get_offset_transform(), collection.get_offsets())
    color = collection.get_facecolor()
    return Mark("point", points, _hex(color[0]), name, opacity=_opacity(collection), shape="o")


def _bands(axes: Any, collection: Any, name: str) -> Iterator[Mark]:
    """Bands between two curves over one x: there along the first, and back along the second."""
    for path in collection.get_paths():
        corners = _in_data(axes, collection.get_transform(), path.vertices)
        half = (len(corners) - 1) // 2
        first, second = corners[1:half], corners[half + 1 : -1][::-1]
        count = min(len(first), len(second))
        yield Mark(
            "band", first[:count], _hex(collection.get_facecolor()[0]), name, second[:count],
            opacity=_opacity(collection),
        )  # fmt: skip


def _paths(axes: Any, collection: Any, name: str) -> Iterator[Mark]:
    """The lines of a contour, or of a collection of segments."""
    color = _hex(collection.get_edgecolor()[0])
    for path in collection.get_paths():
        for part in path.to_polygons(closed_only=False):
            if len(part) > 1:
                points = _in_data(axes, collection.get_transform(), part)
                yield Mark("line", points, color, name)


def _text(axes: Any, text: Any) -> Mark:
    from matplotlib.text import Annotation

    at = text.xy if isinstance(text, Annotation) else text.get_position()
    frame = axes.transData if isinstance(text, Annotation) else text.get_transform()
    return Mark(
        "text", _in_data(axes, frame, [at]), _hex(text.get_color()), text=(text.get_text(),)
    )


def _in_data(axes: Any, transform: Any, points: Any) -> Array:
    """Points in the coordinates of the axes, exactly where they are already."""
    plain = np.ma.filled(np.ma.asarray(points, np.float64), np.nan).reshape(-1, 2)
    if transform == axes.transData:
        return plain
    moved = axes.transData.inverted().transform(transform.transform(plain))
    return np.asarray(moved, np.float64)


def _legend_names(figure: Any) -> dict[Any, str]:
    """The text of each entry of a legend, by its look."""
    legends = [*figure.legends, *(each.get_legend() for each in figure.axes)]
    return {
        _look(handle): text.get_text()
        for legend in legends
        if legend is not None
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    }


def _look(artist: Any) -> Any:
    """Color, marker and dash of a line; nothing else looks like a line."""
    if not hasattr(artist, "get_marker"):
        return id(artist)
    return _hex(artist.get_color()), str(artist.get_marker()), artist.get_linestyle()


def _own(label: Any) -> str:
    """A label that its author gave; matplotlib's own begin with an underscore."""
    text = str(label or "")
    return "" if text.startswith("_") else text


def _hex(color: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)


def _opacity(artist: Any) -> float:
    return float(1.0 if artist.get_alpha() is None else artist.get_alpha())
