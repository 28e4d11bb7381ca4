"""Find the power-law region of a learning curve, between the plateau of chance and the floor.

The curve is the least loss at each size (samples, tokens, parameters or compute). Four shapes are
fitted, with neither break, one or both; the least BIC chooses. Fit a power law without offset to
the middle alone, with --where.

  windtunnel regions runs/quickstart --samples tokens
  windtunnel regions table.csv --samples images --loss error --plot regions.png
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_columns, add_source, read
from analysis.plotting.labels import label
from scaling.common.answers import Answer, Line, Note, Rows, Shown

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimators.learning_regions import Regions

HEAD = ("region", "sizes", "from", "to", "loss from", "loss to")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    parser.add_argument("--samples", metavar="COLUMN", help="column of the size (default: tokens)")
    add_columns(parser)
    add_plot(parser, "the curve, its regions and the fitted line")


def run(options: argparse.Namespace) -> Answer:
    """Print the regions and the exponent of the middle."""
    from analysis.estimators.learning_regions import Region, regions
    from analysis.tables.population import kept

    source = read(options.path, options)
    samples = options.samples or source.tokens
    visible, notes = kept(source.table, source.loss, (samples,))
    yield from map(Note, notes)
    curve = lowest(visible, samples, source.loss)
    options.progress("fitting the regions")
    found = regions(curve, samples=samples, loss=source.loss)
    rows: list[list[Any]] = []
    for region in Region:
        part = curve[found.rows(region)]
        if len(part):
            ends = [*part[samples].iloc[[0, -1]], *part[source.loss].iloc[[0, -1]]]
            rows.append([str(region), len(part), *map(float, ends)])
    yield Rows("regions", HEAD, rows)
    yield Line("exponent of the power law: {exponent}", exponent=found.exponent)
    for name, at in (("begins", found.start), ("ends", found.end)):
        if not math.isnan(at):
            yield Line(f"the power law {name} at {samples} = {{{name}}}", **{name: at})
    best = min(found.bic.values())
    above = {str(name): bic - best for name, bic in found.bic.items()}
    others = ", ".join(f"{name} {bic:+.3g}" for name, bic in above.items())
    yield Line("BIC above the best: {bic_above_best}", bic_above_best=Shown(above, others))
    yield from map(Note, found.warnings)
    yield from plot(options, lambda: draw(curve, found, samples, source.loss))
    return 0


def lowest(rows: pd.DataFrame, samples: str, loss: str) -> pd.DataFrame:
    """The least loss at each size, in the order of the sizes."""
    from analysis.tables.columns import numbers, row_labels

    labels = row_labels(rows)
    table = rows.assign(
        **{samples: numbers(rows, samples, labels), loss: numbers(rows, loss, labels)}
    )
    return table.sort_values([samples, loss]).drop_duplicates(samples).reset_index(drop=True)


def draw(curve: pd.DataFrame, found: Regions, samples: str, loss: str) -> Any:
    """The curve, a marker for each region, and the line of the middle."""
    import numpy as np

    from analysis.estimators.learning_regions import Region
    from analysis.plotting import style

    looks = {
        Region.SMALL_DATA: ("^", style.MUTED),
        Region.POWER_LAW: ("o", style.FITTED),
        Region.IRREDUCIBLE: ("s", style.HELD),
    }
    with style.house_style():
        figure, axes = style.canvas()
        for region, (mark, color) in looks.items():
            part = curve[found.rows(region)]
            if len(part):
                axes.plot(
                    part[samples], part[loss], linestyle="none", marker=mark, color=color,
                    fillstyle="none", label=str(region),
                )  # fmt: skip
        x, breaks = np.log(curve[samples]), np.log([found.start, found.end])
        held = np.clip(x, *np.where(np.isnan(breaks), [x.min(), x.max()], breaks))
        level = (np.log(curve[loss]) + found.exponent * held).mean()
        axes.plot(
            curve[samples], np.exp(level - found.exponent * held), color=style.INK,
            label=f"fit, exponent {found.exponent:.3g}",
        )  # fmt: skip
        for at in (found.start, found.end):
            if not math.isnan(at):
                axes.axvline(at, color=style.MUTED, linestyle=":", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=label(samples))
        axes.set_ylabel(f"least {label(loss)}")
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            style.log_ticks(axis, *ends)
        figure.legend(loc="outside upper center", ncols=2)
        return figure
