"""IsoFLOP profiles (Approach 2): the best size at each budget, and its exponents with intervals.

    N*(C) = G C^a,   D*(C) = H C^b

At each budget the minimum of a curve of the loss in ln N: a cubic of one skew for all budgets, a
parabola (with --window all, the recipe of Hoffmann et al.), or an Akima interpolation. A budget is
a value of the column --budget, else rows whose FLOPs lie within a factor 1 + --tolerance of each
other. Optima at the edge of their grid are left out, and a note says so.

  windtunnel isoflop runs/isoflop --plot profiles.png
  windtunnel isoflop runs/isoflop --curve parabola --window all --edge run
  windtunnel isoflop isoflop_collection --where 'experiment==llama_3__exp_loss' \\
      --budget flops_budget --at 3.8e25
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from analysis.cli._at import add_at, points
from analysis.cli._frontier import COMPUTE, show
from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_columns, add_source, read
from analysis.plotting.labels import label
from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.errors import UserError
from scaling.common.quantities import count, not_negative, positive, whole

if TYPE_CHECKING:
    from analysis.estimators.frontier import Frontier

HEAD = ("budget", "sizes", "window", "N*", "D*", "loss", "used")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    add_columns(parser)
    parser.add_argument("--flops", default="flops_6nd", metavar="COLUMN", help="compute of a run")
    parser.add_argument("--budget", metavar="COLUMN", help="column that names the budget of a run")
    parser.add_argument(
        "--tolerance",
        type=not_negative,
        default=0.1,
        help="of one budget (default: 0.1)",
    )
    parser.add_argument("--weights", metavar="COLUMN", help="of each run; 0 leaves it out")
    parser.add_argument("--curve", default="skewed", help="skewed (default), parabola or akima")
    parser.add_argument(
        "--window",
        type=_window,
        default="noise",
        metavar="K",
        help="sizes that a curve sees, nearest to its minimum; all; or noise (default): the most "
        "at which it misses the runs by no more than noise",
    )
    parser.add_argument(
        "--edge",
        default="curve",
        help="keep a budget whose curve (default), or whose best run too, is least between two "
        "sizes (run)",
    )
    parser.add_argument(
        "--noise",
        type=positive,
        metavar="SD",
        help="of ln loss from run to run (default: measured)",
    )
    parser.add_argument("--bootstrap", type=whole, default=1000, metavar="R", help="resamples")
    parser.add_argument("--seed", type=whole, default=0, help="seed of the resamples")
    add_at(parser, "C")
    add_plot(parser, "the profiles, their curves and minima")


def _window(text: str) -> str | int:
    if text in ("noise", "all"):
        return text
    if not text.isdecimal():
        raise UserError(f"{text}: a number of sizes, 'noise' or 'all'")
    return count(text)


def run(options: argparse.Namespace) -> Answer:
    """Print the optima of each budget, the exponents, and the optima of other budgets."""
    from analysis.estimators.isoflop import isoflop
    from analysis.readings.isoflop import draw_profiles, profiles

    points(options.at, COMPUTE)  # refused before the work
    source = read(options.path, options)
    columns = {"loss": source.loss, "params": source.params, "tokens": source.tokens}
    options.progress(f"seeking the minima of {options.bootstrap} resamples")
    found = isoflop(
        source.table,
        **columns,
        flops=options.flops,
        budget=options.budget,
        tolerance=options.tolerance,
        weights=options.weights,
        curve=options.curve,
        window=options.window,
        edge=options.edge,
        noise=options.noise,
        bootstrap=options.bootstrap,
        seed=options.seed,
    )
    yield optima(found)
    yield Line("noise of ln loss from run to run: {noise:.2g}", noise=found.noise)
    yield from show(found, options)
    shown = profiles(found, source.params, source.loss)
    axes = source.params, label(source.loss), options.curve
    yield from plot(options, lambda: draw_profiles(shown, *axes))
    return 0


def optima(found: Frontier) -> Rows:
    """A row for each budget; the errors are standard deviations, in percent."""
    rows = [
        [
            row["flops"],
            row["sizes"],
            row["window"],
            _with_error(row["params"], row["params_error"]),
            _with_error(row["tokens"], row["tokens_error"]),
            row["loss"],
            Shown(bool(row["used"]), "yes" if row["used"] else "no"),
        ]
        for row in found.optima.to_dict("records")
    ]
    return Rows("optima", HEAD, rows, left=0)


def _with_error(value: float, error: float) -> Shown:
    if value != value:
        return Shown({"value": None, "error": None}, "-")
    said = f"{value:.4g}" if error != error else f"{value:.4g} +- {100 * error:.1f} %"
    return Shown({"value": value, "error": error}, said)
