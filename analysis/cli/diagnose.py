"""Diagnose a fit: condition number, weakest direction, other minima, influential rows, intervals.

A profile interval holds the values of a parameter that the objective does not reject at 95 %. The
influence of a row is the change of a parameter without it, in half-widths of that interval. A value
near 1 says that one row decides.

  windtunnel diagnose chinchilla_epoch
  windtunnel diagnose runs/isoflop --bootstrap 1000 --drop 3 --plot influence.png
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_source, add_table, fit_path, summary
from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.quantities import whole

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import FitResult
    from analysis.inference.profile import Profile

SHOWN, DRAWN = 5, 20  # most influential rows, in the table and in the figure


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser)
    parser.add_argument(
        "--drop",
        type=whole,
        default=0,
        metavar="K",
        help="fit again without the 1 .. K worst losses",
    )
    add_table(parser)
    add_plot(parser, "the most influential rows")


def run(options: argparse.Namespace) -> Answer:
    """Fit, and print the diagnosis."""
    from analysis.inference.diagnostics import (
        drop_k_path,
        identifiability,
        influence,
        second_minimum,
    )

    result = fit_path(options.path, options.law, options)
    yield from summary(result)
    known = identifiability(result)
    weakest = ", ".join(f"{name} {part:+.2g}" for name, part in known.weakest.items())
    yield Line(
        "condition number {condition:.3g}; weakest direction: {weakest}",
        condition=known.condition,
        weakest=Shown(known.weakest, weakest),
    )
    options.progress("looking for other minima")
    other = second_minimum(result)
    options.progress("profiling every parameter")
    profiles = _profiles(result)
    options.progress("leaving out every row in turn")
    change = influence(result)
    if other is None:
        yield Line("{second_minimum}", second_minimum=Shown(None, "no second minimum found"))
    else:
        at = ", ".join(f"{name} {value:.4g}" for name, value in other.params.items())
        yield Line(
            "second minimum at {relative} times the objective: {second_minimum}",
            relative=other.relative,
            second_minimum=Shown(other.params, at),
        )
    yield _parameters(result, profiles)
    shares = _shares(change, profiles)
    if not shares.empty:
        yield _influential(_strongest(shares, SHOWN))
    if options.drop:
        path = drop_k_path(result, options.drop)
        rows = [[int(row[0]), *row[1:]] for row in path.to_numpy().tolist()]
        yield Rows("drop_highest", path.columns.tolist(), rows, above="\n")
    yield from plot(options, lambda: draw(_strongest(shares, DRAWN)))
    return 0


def _profiles(result: FitResult) -> dict[str, Profile]:
    """The profile interval of every parameter that the rows determine."""
    from analysis.inference.profile import profile

    settled = [n for n in result.law.parameters if n not in (*result.unidentified, *result.bounded)]
    return {name: profile(result, name) for name in settled if not result.bounded}


def _parameters(result: FitResult, profiles: dict[str, Profile]) -> Rows:
    head = ("parameter", "value", "profile 95 %", "bootstrap 95 %")
    rows = []
    for name, value in result.params.items():
        profiled = (profiles[name].low, profiles[name].high) if name in profiles else None
        drawn = result.interval(name) if result.has_intervals else None
        rows.append([name, value, _ends(profiled), _ends(drawn)])
    return Rows("parameters", head, rows, above="\n")


def _ends(ends: tuple[float, float] | None) -> Shown:
    if ends is None or math.isnan(ends[0]):
        return Shown(None, "-")
    return Shown(ends, f"[{ends[0]:.4g}, {ends[1]:.4g}]")


def _shares(change: pd.DataFrame, profiles: dict[str, Profile]) -> pd.DataFrame:
    """The change that each row makes, in half-widths of the profile intervals."""
    names = list(profiles)
    return change[names] / [(profiles[name].high - profiles[name].low) / 2 for name in names]


def _strongest(shares: pd.DataFrame, count: int) -> pd.DataFrame:
    order = shares.abs().max(axis=1).sort_values(ascending=False).index[:count]
    return shares.loc[order]


def _influential(shares: pd.DataFrame) -> Rows:
    rows = [
        [str(name), *(Shown(value, f"{value:+.2f}") for value in row)]
        for name, row in zip(shares.index, shares.to_numpy(), strict=True)
    ]
    above = "\ninfluence, in half-widths of the profile interval:\n"
    return Rows("influence", ["without the row", *shares.columns], rows, above=above)


def draw(shares: pd.DataFrame) -> Any:
    """The most influential rows, and how far each moves every parameter."""
    from analysis.plotting import style

    with style.house_style():
        figure, axes = style.canvas(1.4 + 0.24 * len(shares))
        axes.axvline(0, color=style.MUTED, linewidth=0.9)
        shades = style.RAMP[1::2] + style.RAMP[::2]
        for at, name in enumerate(shares.columns):
            axes.plot(
                shares[name], range(len(shares)), linestyle="none", fillstyle="none",
                marker=style.MARKERS[at % len(style.MARKERS)], color=shades[at % len(shades)],
                label=name,
            )  # fmt: skip
        axes.set_yticks(range(len(shares)), [str(name) for name in shares.index])
        axes.invert_yaxis()
        axes.set_xlabel("change without the row, half-widths of 95 %")
        figure.legend(loc="outside upper center", ncols=len(shares.columns))
        return figure
