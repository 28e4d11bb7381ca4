"""Compute-optimal parameters, tokens and loss of a budget, with intervals.

The parameters and tokens of least loss at C = 6 N D, from published constants or from a fit to
your runs.

  python -m analysis plan --law chinchilla:besiroglu2024 --flops 5.76e23
  python -m analysis plan runs/quickstart --flops 1e13 --bootstrap 1000
"""

from __future__ import annotations

import argparse
from typing import Any

from analysis.cli._format import with_interval
from analysis.cli._table_options import add_table, fit_path
from scaling.common.errors import UserError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", nargs="?", help="rows to fit, as for `fit`; none for constants")
    parser.add_argument("--law", help="a law, or law:constants without a path")
    parser.add_argument("--flops", type=float, action="append", required=True, metavar="C")
    add_table(parser)


def run(options: argparse.Namespace) -> int:
    """Print one block per budget."""
    name, _, constants = (options.law or "").partition(":")
    if options.path is None:
        from analysis.inference.published_plan import plan_published
        from scaling.laws import by_name

        law = by_name(name or "chinchilla")
        if not constants:
            known = ", ".join(f"{law.name}:{entry.name}" for entry in law.published)
            raise UserError(f"plan: give rows to fit, or constants with --law ({known})")
        published = law.constants(constants)
        plans = [plan_published(law, published, flops) for flops in options.flops]
        print(f"{law.name}:{constants}, {published.source}; {published.convention.params}")
        if published.covariance is None:
            print("note: no joint error of these constants is known, so there are no intervals")
        for plan in plans:
            _show(plan.flops, plan.params, plan.tokens, plan.tokens_per_param, plan.loss)
        return 0
    if constants:
        raise UserError(f"plan {options.path} --law {options.law}: rows or constants, not both")
    result = fit_path(options.path, name or None, options)
    allocations = [result.optimal(flops) for flops in options.flops]
    print(f"{result.law.name} fitted on {len(result.points)} rows, {result.status}")
    for warning in result.warnings:
        print(f"note: {warning}")
    if not result.has_intervals:
        print("note: no intervals without --bootstrap 1000")
    for best in allocations:
        _show(float(best.flops), best.params, best.tokens, best.tokens_per_param, best.loss)
    return 0


def _show(flops: float, params: Any, tokens: Any, ratio: Any, loss: Any) -> None:
    print(f"\nC = {flops:g} FLOPs")
    for name, (value, low, high) in (
        ("N*  parameters", params),
        ("D*  tokens", tokens),
        ("D/N tokens per parameter", ratio),
        ("loss", loss),
    ):
        print(f"  {name:<25} {with_interval(value, low, high)}")
