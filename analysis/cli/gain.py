"""Compute-equivalent gain: the factor of compute that family B needs to reach the loss of A.

    gain = C_B / C_A  with  L_B(C_B) = L_A(C_A)

Fits a law to the runs of each family and compares their least losses at a budget. Each family has
its own allocation C = 6 N D, unless its law has one variable. Above 1, A is the better family.
--crossing looks for the budget at which the better family changes. --spent counts the budget in
another column: a law's size is then that column over 6 tokens, so that 6 N D is what was spent.
--pinned compares each run of A with the law of B alone, whose floor and exponents stay: for an arm
of few runs.

  windtunnel gain runs/muon runs/adamw --budget 1e13 --bootstrap 1000
  windtunnel gain runs/mine --a 'label==muon' --b 'label==adamw' --budget 1e13
  windtunnel gain runs/families --a label==qlstm --b label==attention --spent flops_model \\
      --budget 1e12
  windtunnel gain xlstm_isoflop --a 'architecture==mLSTM (xLSTM)' \\
      --b 'architecture==Llama transformer' --where 'context==16384' --budget 1e19
  windtunnel gain runs/mine --a 'label==muon' --b 'label==adamw' --pinned --bootstrap 200
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.cli._plot import add_plot, plot
from analysis.cli._spent import column_of_sizes, spending
from analysis.cli._table_options import PATH, TableSource, add_table, fit_source, read, summary
from analysis.plotting.labels import label
from scaling.common.answers import Answer, Estimate, Line, Note, Rows, Shown
from scaling.common.errors import UserError
from scaling.common.quantities import positive

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult
    from analysis.inference.compute_gain import Gain

HEAD = ("family", "law", "rows", "status")
GAINS = ("budget of A", "loss", "gain", "with lack of fit", "B never gets there")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="path", help=PATH)
    parser.add_argument("second", metavar="path_of_b", nargs="?", help="family B, if elsewhere")
    parser.add_argument("--a", metavar="ROWS", help="the rows of family A: 'label==muon'")
    parser.add_argument("--b", metavar="ROWS", help="the rows of family B")
    parser.add_argument("--law", help="the law of both (default: that of the study)")
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        type=positive,
        metavar="C",
        help="compute of A",
    )
    parser.add_argument(
        "--at-loss",
        action="append",
        default=[],
        type=positive,
        metavar="L",
        help="a loss to reach",
    )
    parser.add_argument(
        "--crossing",
        nargs=2,
        type=positive,
        metavar=("LOW", "HIGH"),
        help="between two budgets",
    )
    parser.add_argument(
        "--spent",
        metavar="COLUMN",
        help="the budget of a run, such as flops_model or wall_seconds (default: 6 N D)",
    )
    parser.add_argument(
        "--pinned", action="store_true", help="speed-up of each run of A against the law of B"
    )
    add_table(parser)
    add_plot(parser, "the least loss of both families against compute")


def run(options: argparse.Namespace) -> Answer:
    """Fit both families and print the gains."""
    from analysis.fitting.prediction.reach import far
    from analysis.inference.compute_gain import crossing, gain, unit, with_lack_of_fit

    if not (options.budget or options.at_loss or options.crossing or options.pinned):
        raise UserError("gain: give --budget C, --at-loss L or --crossing LOW HIGH, or --pinned")
    if options.spent and (options.params or options.x):
        raise UserError("gain: --spent makes the size itself; leave out --params and --x")
    families = list(_families(options))
    if options.spent:
        families = [spending(each, options.spent) for each in families]
        options.params = column_of_sizes(options.spent)
    if options.pinned:
        return (yield from _pinned(options, *families))
    a, b = (fit_source(each, options.law, options) for each in families)
    both = (("A", a), ("B", b))
    rows = [(name, fit.law.name, len(fit.points), str(fit.status)) for name, fit in both]
    found = [gain(a, b, budget=budget) for budget in options.budget]
    found += [gain(a, b, loss=loss) for loss in options.at_loss]
    yield Rows("families", HEAD, rows, left=2)
    for name, fit in both:
        yield from (Note(f"{name}: {warning}") for warning in fit.warnings)
    if found:
        options.progress("rolling both fits forward")
        found = [
            with_lack_of_fit(each, a, b) if math.isfinite(each.low) else each for each in found
        ]
        yield Rows("gains", GAINS, [_gain(each) for each in found], left=0, above="\n")
        yield from (
            Note(f"gain at {each.budget:.4g}: {said}")
            for each in found
            for said in (each.undetermined, far(each.beyond))
            if said
        )
    if options.crossing:
        low, high = options.crossing
        met = crossing(a, b, between=(low, high))
        better, other = ("A", "B") if met.better == "a" else ("B", "A")
        if met.times:
            ends = Estimate(met.budget, met.low, met.high, 3)
            yield Line(
                "\n{better} is better below {crossing} {spent}, {other} above",
                better=better,
                spent=unit(met.spent),
                crossing=ends,
                other=other,
            )
        else:
            said = "\n{better} is better from {low} to {high} {spent}"
            yield Line(said, better=better, low=low, high=high, spent=unit(met.spent))
    yield Note(
        a.no_interval
        or "intervals of gains and crossings: the constants of both fits; "
        "with lack of fit: run noise and the laws' own error, too"
    )
    yield from plot(options, lambda: draw(a, b))
    return 0


def _gain(found: Gain) -> tuple[Any, ...]:
    never = "-" if math.isnan(found.unreached) else f"{found.unreached:.0%} of resamples"
    unknown = Estimate(math.nan) if found.undetermined else None
    value = unknown or Estimate(found.value, found.low, found.high, 3)
    fit = unknown or Estimate(found.value, found.fit_low, found.fit_high, 3)
    return found.budget, found.loss, value, fit, Shown(found.unreached, never)


def _pinned(options: argparse.Namespace, a: TableSource, b: TableSource) -> Answer:
    """Each run of A against the law of B."""
    from analysis.inference.compute_gain import budget_column, unit
    from analysis.inference.speed_up import speed_up
    from analysis.tables.points import select

    if options.budget or options.at_loss or options.crossing or options.plot:
        raise UserError("gain --pinned: leave out --budget, --at-loss, --crossing and --plot")
    law = fit_source(b, options.law, options)
    yield from summary(law)
    arm = select(a.table, law.recipe.columns, law.recipe.loss, None, 0)
    yield from map(Note, arm.notes)
    found = speed_up(law, arm)
    columns = (found.labels, found.flops, arm.loss, found.factors)
    rows = [list(each) for each in zip(*(_list(each) for each in columns), strict=True)]
    head = ("run", unit(budget_column(law)), "loss", "speed-up")
    yield Rows("runs", head, rows, above="\n")
    yield Line(
        "\nspeed-up {speed_up}; over a decade of compute it changes by a factor of {per_decade}",
        speed_up=Estimate(found.value, found.low, found.high, 3),
        per_decade=Estimate(*found.per_decade, 3),
    )
    yield Line(
        "scatter of ln speed-up {scatter:.2g}, by run noise alone {expected:.2g}",
        scatter=found.scatter,
        expected=found.expected,
    )
    yield Note(
        law.no_interval or "interval: scatter of the runs, and the constants of the law of B"
    )
    return 0


def _list(values: Any) -> list[Any]:
    """Plain values of an array or a tuple."""
    return list(values.tolist()) if hasattr(values, "tolist") else list(values)


def _families(options: argparse.Namespace) -> tuple[TableSource, TableSource]:
    """The rows of A and of B, from one path or from two."""
    from analysis.tables.query import where

    if options.second is None and not (options.a and options.b):
        raise UserError(
            f"gain {options.first}: give a second path, or --a ROWS and --b ROWS that tell the "
            "families apart"
        )
    a = read(options.first, options)
    b = a if options.second is None else read(options.second, options)
    return (
        replace(a, table=where(a.table, options.a)),
        replace(b, table=where(b.table, options.b)),
    )


def draw(a: FitResult, b: FitResult) -> Any:
    """Least loss against budget with the 95 % interval of a new run, and the runs of both."""
    import numpy as np

    from analysis.inference.compute_gain import budget_column
    from analysis.plotting import style
    from analysis.plotting.numbers import scientific

    with style.house_style():
        figure, axes = style.canvas()
        for name, fit, color, line, mark in (
            ("A", a, style.FITTED, "-", "o"),
            ("B", b, style.HELD, "--", "^"),
        ):
            spent = fit.budgets
            span = np.geomspace(spent.min(), spent.max() * 3, 80)
            if len(fit.law.variables) == 1:
                found = fit.predict_at({fit.law.variables[0]: span})
                value, low, high = found.value, found.low, found.high
            else:
                value, low, high = fit.optimal(span).loss
            axes.fill_between(span, low, high, color=color, alpha=0.15, lw=0)
            axes.plot(span, value, color=color, linestyle=line, label=f"{name}, least loss")
            axes.plot(
                spent, fit.points.loss, linestyle="none", marker=mark, color=color,
                fillstyle="none", markersize=4, label=f"{name}, runs",
            )  # fmt: skip
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel(label(budget_column(a)))
        axes.set_ylabel(label(a.recipe.loss))
        low, high = axes.get_xlim()
        style.log_ticks(axes.xaxis, low, high, scientific)
        style.log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=2)
        return figure
