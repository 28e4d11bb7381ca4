"""A figure as a Vega-Lite chart, with values at the pointer and series that a legend picks out.

The chart is made from the figure's own marks (`analysis.plotting.marks`), as are its rows of data.
"""

from __future__ import annotations

import colorsys
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.plotting.marks import Axis, Mark, Panel

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
HEIGHT, PANEL = 260, 190  # of a chart alone, and of one panel among several, in pixels
LEGEND = {"title": None, "orient": "top", "columns": 3, "symbolOpacity": 1}
FIELDS = ("panel", "series", "kind", "x", "y", "x2", "y2")  # of the rows of data
FADED = 0.08  # opacity of series that the legend has not picked
SHAPES: Mapping[str, str] = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond",
    "P": "cross", "*": "M0,-1L.22,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31"
    "L-.22,-.31Z", "x": "M-.8,-.8L.8,.8M-.8,.8L.8,-.8", "X": "M-.8,-.8L.8,.8M-.8,.8L.8,-.8",
    "+": "M-1,0L1,0M0,-1L0,1", "|": "M0,-1L0,1", "_": "M-1,0L1,0",
}  # fmt: skip
OPEN = ("x", "X", "+", "|", "_")  # drawn by their strokes alone
DASHES: Mapping[str, list[int]] = {"-": [1, 0], "--": [6, 3], "-.": [6, 3, 1, 3], ":": [1, 3]}


def chart(panels: Sequence[Panel], description: str) -> dict[str, Any]:
    """The Vega-Lite specification; `usermeta.dark` names each color's twin on a dark page."""
    series = _series(panels)
    views = [
        _view(panel, series, "container" if len(panels) == 1 else PANEL, first=at == 0)
        for at, panel in enumerate(panels)
    ]
    # the page takes fewer columns where it has no room for these
    most = max(Counter(panel.row for panel in panels).values(), default=1)
    body = views[0] if len(views) == 1 else {"concat": views, "columns": most}
    colors = {mark.color for panel in panels for mark in panel.marks}
    return {
        "$schema": SCHEMA,
        "description": description,
        "config": {"view": {"stroke": None}, "axis": {"labelOverlap": True}},
        "usermeta": {"dark": {color: dark(color) for color in sorted(colors)}},
        "resolve": {"scale": dict.fromkeys(("color", "shape", "strokeDash"), "shared")},
        **body,
    }


def rows(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    """The data behind the figure: panel, series, kind, x and y, and the far ends of intervals."""
    for panel in panels:
        for mark in panel.marks:
            if mark.kind != "text":
                for row in _values(mark):
                    yield {"panel": panel.title, "series": mark.series, "kind": mark.kind, **row}


def dark(color: str) -> str:
    """The color of the same hue, its lightness turned over."""
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    turned = colorsys.hls_to_rgb(hue, 0.92 - 0.72 * light, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in turned)


def _series(panels: Sequence[Panel]) -> dict[str, Mark]:
    """Each named series, with the mark that shows its look best: points before lines."""
    found: dict[str, Mark] = {}
    for panel in panels:
        for mark in panel.marks:
            if mark.series and (mark.series not in found or mark.kind == "point"):
                found[mark.series] = mark
    return found


def _view(panel: Panel, series: Mapping[str, Mark], width: Any, first: bool) -> dict[str, Any]:
    layers = [_layer(mark, panel, series) for mark in panel.marks]
    drawn = [each for layer in layers for each in (layer, *layer.get("layer", ()))]
    named = [each for each in drawn if "opacity" in each.get("encoding", {})]
    if first and named:
        pick = {"type": "point", "fields": ["series"]}
        named[0]["params"] = [{"name": "shown", "select": pick, "bind": "legend"}]
    size = {"width": width, "height": HEIGHT if width == "container" else PANEL}
    return {**({"title": panel.title} if panel.title else {}), **size, "layer": layers}


def _layer(mark: Mark, panel: Panel, series: Mapping[str, Mark]) -> dict[str, Any]:
    """The mark, and for a line its unseen points, which answer to the pointer."""
    values = [
        {name: _short(value) for name, value in row.items()} | {"series": mark.series}
        for row in _values(mark)
    ]
    place: dict[str, Any] = {
        "x": {"field": "x", "type": "quantitative", **_scale(panel.x)},
        "y": {"field": "y", "type": "quantitative", **_scale(panel.y)},
    }
    if mark.kind == "band":
        place |= {"y2": {"field": "y2"}}
    if mark.kind == "interval":
        place |= {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    if mark.kind == "text":
        place |= {"text": {"field": "text"}}
    if mark.kind == "line":
        place |= {"order": {"value": None}}
    told = {} if mark.kind == "text" else {"tooltip": _tooltip(mark, panel)}
    drawn = {"mark": _mark(mark), "encoding": _looks(mark, series) if mark.series else {}}
    shared = {"data": {"values": values}, "encoding": place | told}
    if mark.kind != "line":
        return {**shared, **drawn, "encoding": shared["encoding"] | drawn["encoding"]}
    unseen = {"type": "point", "opacity": 0, "size": 60, "clip": True}
    return {**shared, "layer": [drawn, {"mark": unseen}]}


def _mark(mark: Mark) -> dict[str, Any]:
    look: dict[str, Any] = {"clip": True, "opacity": mark.opacity, "color": mark.color}
    match mark.kind:
        case "line":
            dash = DASHES.get(mark.dash, DASHES["--"])
            return {**look, "type": "line", "strokeWidth": mark.width, "strokeDash": dash}
        case "point":
            shape, size = SHAPES.get(mark.shape, "circle"), 130 if mark.shape == "*" else 45
            filled = mark.filled and mark.shape not in OPEN
            return {**look, "type": "point", "filled": filled, "size": size, "shape": shape}
        case "interval":
            return {**look, "type": "rule", "strokeWidth": 1.2}
        case "band":
            return {**look, "type": "area"}
        case "text":
            said = {"type": "text", "align": "left", "dx": 4, "fontSize": 11}
            return {**said, "color": mark.color}


def _looks(mark: Mark, series: Mapping[str, Mark]) -> dict[str, Any]:
    """Color, and shape or dash, of the series by their names, under one legend."""

    def by(values: list[Any]) -> dict[str, Any]:
        scale = {"domain": list(series), "range": values}
        return {"field": "series", "type": "nominal", "scale": scale, "legend": LEGEND}

    picked = {"condition": {"param": "shown", "value": mark.opacity}, "value": FADED}
    found = {"color": by([each.color for each in series.values()]), "opacity": picked}
    if mark.kind == "point":
        found["shape"] = by([SHAPES.get(each.shape, "stroke") for each in series.values()])
    if mark.kind == "line":
        found["strokeDash"] = by([DASHES.get(each.dash, [1, 0]) for each in series.values()])
    return found


def _scale(axis: Axis) -> dict[str, Any]:
    places = [place for place, _ in axis.ticks]
    texts = [text for _, text in axis.ticks]
    at = f"indexof({places}, datum.value)"
    shown = {"values": places, "title": axis.label, "grid": True}
    if places:
        shown["labelExpr"] = f"split({texts}[{at}], '\\n')"
    kind = {"type": "log"} if axis.log else {"zero": False}
    return {"scale": {**kind, "domain": list(axis.limits), "nice": False}, "axis": shown}


def _tooltip(mark: Mark, panel: Panel) -> list[dict[str, Any]]:
    told = [{"field": "series", "title": " "}] if mark.series else []
    names = {"x": panel.x.label or "x", "y": panel.y.label or "y"}
    if mark.kind in ("interval", "band"):
        names = {"x": names["x"], "y": f"{names['y']}, one end", "y2": "other end"}
    return told + [
        {"field": field, "title": name, "type": "quantitative", "format": ".5~g"}
        for field, name in names.items()
    ]


def _values(mark: Mark) -> Iterator[dict[str, Any]]:
    for at, (x, y) in enumerate(mark.points.tolist()):
        far = (
            {}
            if mark.ends is None
            else dict(zip(("x2", "y2"), mark.ends[at].tolist(), strict=True))
        )
        said = {"text": mark.text[at]} if mark.text else {}
        row = {"x": x, "y": y, **far}
        if all(map(math.isfinite, row.values())):
            yield {**row, **said}


def _short(value: Any) -> Any:
    """Six digits, more than a screen shows."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
