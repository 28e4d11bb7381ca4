"""Fit a law to a study, a folder of runs, a CSV file or a published table.

Prints the constants with their intervals, the status and the card of the fit. Columns not named
are those of study.json where there is one, else the defaults.

  windtunnel fit runs/quickstart --bootstrap 1000
  windtunnel fit table.csv --law chinchilla --loss loss --params n --tokens d --plot fit
  windtunnel fit runs/isoflop --holdout 'flops_6nd>2e12' --bootstrap 1000
  windtunnel fit table.csv --params n --tokens d --at params=7B,tokens=140B
  windtunnel fit chinchilla_epoch --drop-highest 5 --bootstrap 4000
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from analysis.cli._at import add_at, columns, points, predicted
from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_source, add_table, fit_source, law_named, pairs, read
from scaling.common.answers import Answer, Note, Whole

if TYPE_CHECKING:
    from analysis.fitting.prediction.held_out import HeldOut
    from analysis.fitting.result import FitResult


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser)
    add_table(parser)
    add_at(parser)
    add_plot(parser, "the rows with the law against compute, and the residuals")


def run(options: argparse.Namespace) -> Answer:
    """Fit and print."""
    from analysis import card
    from analysis.fitting.card import sections
    from analysis.fitting.types import LEVEL

    source = read(options.path, options)
    law = law_named(options.law or source.law, pairs("--fix", options.fix))
    at = points(options.at, law.variables)
    result = fit_source(source, options.law, options)
    yield Whole(result.to_json(), constants(result))
    yield Whole(
        {},
        f"objective {result.objective:.10g}, {result.status}, {len(result.points)} points, "
        f"rms log residual {100 * result.rms:.2g} %",
    )
    if result.has_intervals:
        yield Note(f"intervals in brackets, {LEVEL:.0%}: of the constants alone")
    named = ", ".join(f"{name} = {column}" for name, column in result.recipe.columns.items())
    yield Whole({}, f"columns: {named}, loss = {result.recipe.loss}")
    yield from map(Note, result.warnings)
    if at:
        yield from predicted(result.predict_at(columns(at)), at, result.recipe.loss)
    if result.held_out is not None:
        yield Whole({"held_out": _held_out(result.held_out)}, f"\n{result.held_out}")
    values = {part.title: dict(part.items) for part in sections(result)}
    yield Whole({"card": values}, f"\n{card(result)}")
    yield from plot(options, lambda: figure(result))
    return 0


def figure(result: FitResult) -> Any:
    """The law against compute where it has one, beside the residuals."""
    from analysis.inference.plots import draw, has_compute

    return draw([*(["compute"] if has_compute(result) else []), "residuals"], result)


def constants(result: FitResult) -> str:
    """A line for each constant, with its interval."""
    width = max(len(name) for name in result.params)
    lines = []
    for name, value in result.params.items():
        said = ""
        if name in result.law.fixed:
            said = "   given"
        elif result.has_intervals:
            said = "   [{:.6g}, {:.6g}]".format(*result.interval(name))
        if name in result.law.equal:
            said += f"   = {result.law.equal[name]}"
        lines.append(f"{name:>{width}} = {value:.6g}{said}")
    return "\n".join(lines)


def _held_out(held: HeldOut) -> dict[str, Any]:
    """The rows held out: predictions, measurements, and their summary."""
    columns = ("labels", "predicted", "low", "high", "measured", "relative_error")
    names = ("row", *columns[1:])
    return {
        "rows": [
            dict(zip(names, row, strict=True))
            for row in zip(*(getattr(held, name) for name in columns), strict=True)
        ],
        "mean_absolute_error": held.mean_absolute_error,
        "coverage": held.coverage,
        "level": held.level,
        "prediction": held.prediction.to_json(),
    }
