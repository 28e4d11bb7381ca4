"""Predict downstream error of runs not yet trained, by a law of loss and a law of error.

    Err(x) = second( first(x) )

The first law is fitted to the loss, the second (--then) to another column against that loss. The
error of a run is predicted from its PREDICTED loss, with the intervals of both fits joined.

  windtunnel chain table.csv --then-loss error --at params=7e9,tokens=1.4e11
  windtunnel chain gadre_overtraining --law overtraining --objective raw_squared \\
      --where 'in_loss_fit==True and dataset==rpj' --then error --then-loss err_avg17 \\
      --then-where 'in_error_fit==True and dataset==rpj' \\
      --predict 'is_extrapolation_target==True and dataset==rpj'
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._at import add_at, points
from analysis.cli._format import estimates
from analysis.cli._table_options import (
    TableSource,
    add_source,
    add_table,
    choose,
    fit_source,
    law_named,
    open_source,
    pairs,
    text_columns,
)
from scaling.common.answers import Answer, Line, Note, Rows, Shown
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, "the law of the loss (default: that of the study)")
    parser.add_argument("--then", default="error", metavar="LAW", help="the second law")
    parser.add_argument(
        "--then-loss",
        required=True,
        metavar="COLUMN",
        help="the column of the second law",
    )
    parser.add_argument(
        "--then-where", metavar="ROWS", help="the rows of the second fit (default: --where)"
    )
    add_at(parser)
    parser.add_argument(
        "--predict", metavar="ROWS", help="rows of the table to predict, beside their measurement"
    )
    add_table(parser)


def run(options: argparse.Namespace) -> Answer:
    """Fit both laws and print their predictions."""
    if bool(options.at) == bool(options.predict):
        raise UserError("chain: give either --at NAME=X,... or --predict ROWS")
    options.progress(f"reading {options.path}")
    every = open_source(options.path, text_columns(options))
    source = choose(every, options)
    law = law_named(options.law or source.law, pairs("--fix", options.fix))
    at = points(options.at, law.variables)
    first = fit_source(source, options.law, options)
    second = _second(every, options, first)
    for result in (first, second):
        yield Line(
            "{law} on {rows} rows, {status}: {constants}",
            "fits",
            law=result.law.name,
            rows=len(result.points),
            status=str(result.status),
            constants=Shown(
                result.params,
                ", ".join(f"{name} {value:.4g}" for name, value in result.params.items()),
            ),
        )
        yield from map(Note, result.warnings)
    what = options.then_loss
    head = ("run", first.recipe.loss, what, f"measured {what}", "off, %")
    rows, away = _rows(every, options, at, first, second)
    yield Rows("predictions", head, rows, above="\n")
    if away:
        yield Note(f"up to {away}")
    missing = first.no_interval or second.no_interval
    yield Note(
        missing or f"intervals of {first.recipe.loss}: a new run; of {what}: constants of both"
    )
    return 0


def _second(source: TableSource, options: argparse.Namespace, first: FitResult) -> FitResult:
    """The second law, fitted to its column against the loss of the first."""
    asked = copy.copy(options)
    asked.loss, asked.where = options.then_loss, options.then_where or options.where
    (fed, *_) = _law(options).variables
    asked.column, asked.fix, asked.holdout = [f"{fed}={first.recipe.loss}"], [], None
    asked.params = asked.tokens = asked.x = None
    return fit_source(choose(source, asked), options.then, asked)


def _law(options: argparse.Namespace) -> Any:
    from scaling.laws import by_name

    return by_name(options.then)


def _rows(
    source: TableSource,
    options: argparse.Namespace,
    at: Sequence[Mapping[str, float]],
    first: FitResult,
    second: FitResult,
) -> tuple[list[list[Any]], str]:
    """The rows of the answer, and the distance of the farthest run in words."""
    from analysis.inference.abilities.chained_laws import chained
    from analysis.tables.columns import numbers as column_of
    from analysis.tables.columns import row_labels
    from analysis.tables.query import where

    if options.at:
        variables: dict[str, Any] = {
            name: [point[name] for point in at] for name in first.law.variables
        }
        labels, measured = list(options.at), [math.nan] * len(at)
    else:
        rows = where(source.table, options.predict)
        labels = row_labels(rows)
        variables = {
            name: column_of(rows, column, labels) for name, column in first.recipe.columns.items()
        }
        measured = column_of(rows, options.then_loss, labels).tolist()
    loss = first.predict_at(variables)
    error = chained(first, second, **variables)
    off = [100 * abs(e / m - 1) for e, m in zip(error.value, measured, strict=True)]
    cells = zip(labels, estimates(loss), estimates(error), measured, off, strict=True)
    return [list(row) for row in cells], error.distance
