"""A picture on the page: SVG to look at and to print, a chart for the pointer, and its data."""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.plotting.marks import panels
from analysis.plotting.style import house_style, save
from analysis.plotting.vega import FIELDS, chart, rows
from analysis.readings._finding import Picture
from scaling.common.files import write_bytes


@dataclass(frozen=True)
class Plate:
    """SVG and CSV in base64, and a Vega-Lite specification that may stand in a script element."""

    svg: str
    csv: str
    chart: str


def plate(picture: Picture, folder: Path) -> Plate:
    """Draw the picture into `folder`, as PNG, SVG, CSV and JSON."""
    figure = picture.draw()
    svg = save(figure, folder, picture.name)
    with house_style():
        found = panels(figure)
    table = _csv(found)
    text = json.dumps(chart(found, picture.alt), separators=(",", ":"))
    write_bytes(folder / f"{picture.name}.csv", table)
    write_bytes(folder / f"{picture.name}.json", text.encode())
    return Plate(_base64(svg), _base64(table), text.replace("</", "<\\/"))


def _csv(found: Any) -> bytes:
    out = io.StringIO()
    table = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows(found))
    return out.getvalue().encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
