"""Style of every figure: one size, one type, markers and line styles that survive greyscale.

Figures are small: a phone shows them at full size. They use the object API and touch no global
state. SVG output is a function of the data alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis.plotting.numbers import quantity

SIZE = (4.5, 3.5)  # inches
INK, MUTED, GRID = "#1d1b18", "#6b665d", "#e3dfd6"
FITTED, HELD = "#1f4e6b", "#b03a1c"  # the law and its bands; the held-out run
RAMP = ("#9db9c6", "#6f9ab0", "#457a95", "#245a78", "#103a55", "#04202f", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (8, 2)))
_TICKS = (  # coarse to fine: the first that gives four marks is taken
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8),
    tuple(1 + 0.1 * step for step in range(90)),
    tuple(1 + 0.05 * step for step in range(180)),
    tuple(1 + 0.02 * step for step in range(450)),
    tuple(1 + 0.01 * step for step in range(900)),
)

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "text.color": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.5,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "windtunnel",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Context in which figures are drawn and saved."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def canvas(height: float = SIZE[1]) -> tuple[Any, Any]:
    """A figure and its one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    return figure, figure.subplots()


def panels(count: int, shared: bool = True) -> Any:
    """A figure of `count` axes, three side by side, that share their loss axis if they have one."""
    from matplotlib.figure import Figure

    rows, columns = math.ceil(count / 3), min(count, 3)
    size = SIZE[0] * max(1.0, 0.75 * columns), SIZE[1] * max(1.0, 0.75 * rows)
    figure = Figure(figsize=size, layout="constrained")
    made = figure.subplots(rows, columns, sharey=shared, squeeze=False).flat
    for axes in list(made)[count:]:
        axes.remove()
    return figure


def rung_style(rung: int, rungs: int) -> dict[str, Any]:
    """Marker and shade of a rung, dark for large; marks stay apart without colour."""
    shade = RAMP[: len(RAMP) - 1]
    at = round(rung * (len(shade) - 1) / max(1, rungs - 1))
    return {"color": shade[min(at, len(shade) - 1)], "marker": MARKERS[rung % len(MARKERS)]}


def log_ticks(axis: Any, low: float, high: float, text: Callable[[float], str] = quantity) -> None:
    """Four to eight plain numbers at round places of a log axis, however little it spans.

    Fewer where their texts would touch.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    class Apart(FixedLocator):
        """The marks whose texts have room, which is known once the figure is drawn."""

        def __call__(self) -> Any:
            return apart(self.axis, places, text)

    marks: list[float] = []
    for steps in _TICKS:
        marks = [
            step * 10.0**power
            for power in range(-6, 30)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(marks) >= 4:
            break
    places = marks[:: -(-len(marks) // 8)]
    axis.set_major_locator(Apart(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


def apart(axis: Any, marks: Sequence[float], text: Callable[[float], str]) -> list[float]:
    """The marks of an axis without those whose text would touch the one before."""
    along = 0 if axis.axis_name == "x" else 1
    em = axis.get_major_ticks(1)[0].label1.get_size() * axis.figure.dpi / 72
    kept: list[float] = []
    free = -math.inf
    for mark in marks:
        middle = axis.axes.transData.transform((mark, mark))[along]
        letters = len(re.sub(r"\\[a-z]+|[${}^]", "", text(mark)))
        half = em * (0.6 if along else 0.3 * letters + 0.2)
        if middle - half >= free:
            kept.append(mark)
            free = middle + half
    return kept


def log_log(axes: Any, x: str, y: str) -> None:
    """Log scales with their names; a log axis gets round ticks once its limits are known."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def round_ticks(axes: Any) -> None:
    """Plain numbers at round places of both log axes, at their present limits."""
    log_ticks(axes.xaxis, *axes.get_xlim())
    log_ticks(axes.yaxis, *axes.get_ylim())


BAND = 0.18  # opacity of an interval


def band(
    axes: Any, x: Any, ends: Sequence[Any], opacity: float = BAND, color: str = FITTED
) -> None:
    """The interval of (value, low, high), which a wild end takes to the edge of the axes alone."""
    import numpy as np

    if np.isnan(ends[1]).all():
        return
    bottom, top = axes.get_ylim()
    low, high = (np.clip(np.nan_to_num(end, nan=top), bottom, top) for end in ends[1:])
    axes.fill_between(x, low, high, color=color, alpha=opacity, lw=0)
    axes.set_ylim(bottom, top)


def letter(figure: Any) -> None:
    """A bold letter at the upper left of each panel, where there are several."""
    seen = [axes for axes in figure.axes if axes.get_visible()]
    for name, axes in zip("abcdefghijkl", seen, strict=False):
        if len(seen) > 1:
            title = axes.get_title(loc="left")
            axes.set_title(f"$\\bf{{{name}}}$  {title}".rstrip(), loc="left")


def save(figure: Any, folder: Path, name: str) -> bytes:
    """<name>.png and <name>.svg in `folder`; returns the SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    svg = folder / f"{name}.svg"
    with house_style():
        figure.savefig(folder / f"{name}.png", dpi=200, metadata={"Software": None})
        figure.set_layout_engine("none")  # it stands, and takes a third of the time
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return svg.read_bytes()
