"""The compute-optimal frontier as `isoflop` and `envelope` print it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._format import with_interval

if TYPE_CHECKING:
    from analysis.estimators.frontier import Frontier


def add_at(parser: Any) -> None:
    """Declare --at."""
    parser.add_argument(
        "--at", action="append", default=[], type=float, metavar="C", help="predict N* and D* there"
    )


def show(found: Frontier, budgets: Sequence[float]) -> None:
    """Both power laws with intervals, N* and D* at other budgets, and the warnings."""
    for symbol, law in (("N*", found.params), ("D*", found.tokens)):
        coefficient = law.values[law.law.parameters[0]]
        ends = law.interval() if len(law.samples) else (float("nan"),) * 2
        print(f"{symbol} = {coefficient:.4g} C^{with_interval(law.exponent, *ends)}")
    for flops in budgets:
        n, d = (with_interval(*law.predict(flops)) for law in (found.params, found.tokens))
        print(f"at C = {flops:.4g}: N* {n}, D* {d}")
    for warning in found.warnings:
        print(f"note: {warning}")
