"""Compute-optimal parameters, tokens and loss of a budget, with intervals.

The parameters and tokens of least loss at C = 6 N D, from published constants or from a fit to
your runs.

  windtunnel plan --law chinchilla:besiroglu2024 --flops 5.76e23
  windtunnel plan runs/quickstart --flops 1e13 --bootstrap 1000
  windtunnel plan table.csv --params n --tokens d --flops 1e22 --plot plan
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_table, fit_path, refuse_idle, summary
from scaling.common.answers import Answer, Estimate, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import positive

if TYPE_CHECKING:
    from analysis.fitting.types import Allocation
    from analysis.inference.published_plan import Plan


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", nargs="?", help="rows to fit, as for `fit`; none for constants")
    parser.add_argument("--law", help="a law, or law:constants without a path")
    parser.add_argument("--flops", type=positive, action="append", required=True, metavar="C")
    add_table(parser)
    add_plot(parser, "the plans on the law and its frontier")


def run(options: argparse.Namespace) -> Answer:
    """Print one row per budget."""
    name, _, constants = (options.law or "").partition(":")
    if options.path is None:
        return (yield from _published(options, name or "chinchilla", constants))
    if constants:
        raise UserError(f"plan {options.path} --law {options.law}: rows or constants, not both")
    from analysis.inference.plots import draw

    result = fit_path(options.path, name or None, options)
    plans = [result.optimal(flops) for flops in options.flops]
    yield from summary(result)
    loss = plans[0].prediction
    yield Note(loss.without or f"intervals of N*, D*, D/N: constants; of the loss: {loss.contains}")
    columns = result.recipe.columns
    said = "C = {compute}, with N = {params}, D = {tokens}, loss = {loss}"
    yield Line(said, "columns", compute="6 N D", **columns, loss=result.recipe.loss)
    yield _plans(plans, [float(plan.beyond["compute"]) for plan in plans])
    yield from (
        Note(f"C = {float(plan.flops):g}: {plan.distance}") for plan in plans if plan.distance
    )
    yield from plot(options, lambda: draw(("compute", "frontier"), result, plans))
    return 0


def _published(options: argparse.Namespace, name: str, constants: str) -> Answer:
    """The plans of published constants."""
    from analysis.inference.published_plan import plan_published
    from scaling.laws import by_name

    if options.plot is not None:
        raise UserError("--plot: draws rows with their law, and a plan of constants has no rows")
    refuse_idle(options, "plan of published constants: give rows to fit, or leave out")
    law = by_name(name)
    if not constants:
        known = ", ".join(f"{law.name}:{entry.name}" for entry in law.published)
        raise UserError(f"plan: give rows to fit, or constants with --law ({known})")
    published = law.constants(constants)
    plans = [plan_published(law, published, flops) for flops in options.flops]
    yield Line(
        "{law}:{constants}, {source}; {params_counted}",
        law=law.name,
        constants=constants,
        source=published.source,
        params_counted=published.convention.params,
    )
    if published.covariance is None:
        yield Note("no joint error of these constants is known, so there are no intervals")
    yield _plans(plans)
    return 0


def _plans(plans: Sequence[Allocation | Plan], outside: Sequence[float] = ()) -> Rows:
    """A row for each plan, and how far outside the fitted compute it lies where that is known."""
    columns = ("params", "tokens", "tokens_per_param", "loss")
    head = ["C, FLOPs", "N*, parameters", "D*, tokens", "D/N", "loss"]
    rows: list[list[Any]] = [
        [float(plan.flops), *(Estimate.of(getattr(plan, name)) for name in columns)]
        for plan in plans
    ]
    if outside:
        head.append("C, times outside")
        rows = [[*row, factor] for row, factor in zip(rows, outside, strict=True)]
    return Rows("plans", head, rows, left=0, above="\n")
