"""Compute-optimal frontier from training curves (Approach 1): the lowest curve at each budget.

    N*(C) = G C^a,   D*(C) = H C^b

Reads a row per step of each run: a study's training losses, a CSV file or a published table. A run
whose learning rate has not decayed lies too high: give curves of several horizons for each size.

  windtunnel envelope runs/wsd_branches --bootstrap 200
  windtunnel envelope misfitting --where 'learning_rate==0.002' --at 1e22 \\
      --plot envelope.png
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from analysis.cli._at import add_at, points
from analysis.cli._frontier import COMPUTE, show
from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import TableSource, add_columns, add_source, read
from analysis.plotting.labels import label
from scaling.common.answers import Answer, Line, Note
from scaling.common.quantities import count, whole

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimators.frontier import Frontier


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    add_columns(parser)
    parser.add_argument("--flops", default="flops_6nd", metavar="COLUMN", help="compute so far")
    parser.add_argument("--run-column", default="run_id", metavar="COLUMN", help="of the run")
    parser.add_argument(
        "--budgets", type=count, default=1500, metavar="K", help="log-spaced budgets"
    )
    parser.add_argument("--bootstrap", type=whole, default=0, metavar="R", help="resamples of runs")
    parser.add_argument("--seed", type=whole, default=0, help="seed of the resamples")
    add_at(parser, "C")
    add_plot(parser, "the curves and the envelope")


def run(options: argparse.Namespace) -> Answer:
    """Print the exponents and the optima of other budgets."""
    from analysis.estimators.envelope import envelope
    from analysis.tables.population import is_ours, kept

    points(options.at, COMPUTE)  # refused before the work
    source = read(options.path, options)
    rows = source.table
    if is_ours(rows):
        rows, notes = kept(rows)
        yield from map(Note, notes)
    curves = _curves(source, rows)
    options.progress(f"finding the envelope of {options.bootstrap} resamples")
    found = envelope(
        curves,
        run=options.run_column,
        loss=source.loss,
        params=source.params,
        tokens=source.tokens,
        flops=options.flops,
        budgets=options.budgets,
        bootstrap=options.bootstrap,
        seed=options.seed,
    )
    yield Line(
        "{used} of {budgets} budgets have their best size between two others",
        used=int(found.optima["used"].sum()),
        budgets=options.budgets,
    )
    yield from show(found, options)
    yield from plot(
        options, lambda: draw(curves, found, options.run_column, options.flops, source.loss)
    )
    return 0


def _curves(source: TableSource, rows: pd.DataFrame) -> pd.DataFrame:
    """A row per step: the rows of a table, or the training losses of records."""
    import pandas as pd

    from analysis.tables.runs import trajectory

    if "path" not in rows.columns:
        return rows
    parts = []
    for _, run in rows.iterrows():
        curve = trajectory(run["path"]).dropna(subset=["loss"])
        params, tokens = run[source.params], curve["tokens"]
        parts.append(
            pd.DataFrame(
                {
                    "run_id": run["run_id"],
                    source.params: params,
                    source.tokens: tokens,
                    "flops_6nd": 6 * params * tokens,
                    source.loss: curve["loss"],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(curves: pd.DataFrame, found: Frontier, run: str, flops: str, loss: str) -> Any:
    """Every curve against compute, and the lowest of them where it counts."""
    from analysis.plotting import style
    from analysis.plotting.numbers import scientific

    with style.house_style():
        figure, axes = style.canvas()
        for _, curve in curves.sort_values(flops).groupby(run):
            axes.plot(curve[flops], curve[loss], color=style.RAMP[0], linewidth=0.8)
        best = found.optima[found.optima["used"]]
        axes.plot(
            best["flops"], best["loss"], linestyle="none", marker=".", markersize=3,
            color=style.HELD, label="envelope",
        )  # fmt: skip
        axes.plot([], [], color=style.RAMP[0], label="runs")
        style.log_log(axes, label(flops), label(loss))
        low, high = axes.get_xlim()
        style.log_ticks(axes.xaxis, low, high, scientific)
        style.log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=2)
        return figure
