"""The compute-optimal frontier as `isoflop` and `envelope` print it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from analysis.cli._at import points
from scaling.common.answers import AnswerPart, Estimate, Line, Note

if TYPE_CHECKING:
    from analysis.estimators.frontier import Frontier

COMPUTE = ("flops",)


def show(found: Frontier, options: argparse.Namespace) -> Iterator[AnswerPart]:
    """Both power laws with intervals, N* and D* at other budgets, and the warnings."""
    for symbol, law in (("N*", found.params), ("D*", found.tokens)):
        ends = law.interval() if len(law.samples) else ()
        yield Line(
            "{quantity} = {coefficient} C^{exponent}",
            "power_laws",
            quantity=symbol,
            coefficient=float(law.values[law.law.parameters[0]]),
            exponent=Estimate(law.exponent, *ends),
        )
    for point in points(options.at, COMPUTE):
        n, d = (Estimate.of(law.predict(point["flops"])) for law in (found.params, found.tokens))
        away = found.beyond(point["flops"])
        yield Line(
            "at C = {flops}: N* {params}, D* {tokens}, {beyond} x outside the budgets used",
            "at", **point, params=n, tokens=d, beyond=away,
        )  # fmt: skip
    yield from map(Note, found.warnings)
