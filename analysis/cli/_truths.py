"""Truths of simulated studies: the constants that a command draws, and the noise of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._table_options import TableSource, law_named
from scaling.common.answers import Shown
from scaling.common.errors import UserError
from scaling.common.quantities import count, positive, whole

if TYPE_CHECKING:
    from analysis.inference.designs.simulate import Outcome
    from analysis.inference.designs.truths import Source
    from scaling.laws import Law

NOISE = 0.003
RESAMPLES = 200
HEAD = (
    "truth",
    "half-width, %",
    "5 to 95 % of studies",
    "mean |error|, %",
    "bias, %",
    "coverage, %",
    "score",
    "rungs rolled",
)
KEYS = ("truth", "half_width", "range", "error", "bias", "coverage", "score", "rungs_rolled")


def add_truths(parser: Any, studies: int) -> None:
    """Declare the truths, the noise and the number of simulated studies."""
    parser.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="LAW:CONSTANTS",
        help="published constants to draw truths about; may be given again (default: the fit of "
        "the rows that have a loss, else all constants of the law)",
    )
    parser.add_argument(
        "--noise",
        type=positive,
        metavar="S",
        help=f"sd of the log loss of a run (default: of the fit, else {NOISE})",
    )
    parser.add_argument(
        "--studies", type=count, default=studies, metavar="S", help="simulated for each truth"
    )
    parser.add_argument(
        "--bootstrap", type=count, default=100, metavar="R", help="resamples of each"
    )
    parser.add_argument("--seed", type=whole, default=0, help="seed of truths and noise")


def sources(
    options: argparse.Namespace, law: Law, rows: TableSource | None
) -> tuple[Sequence[Source], float]:
    """The constants to draw, and the noise of a run.

    Raises:
        UserError: the law has no published constants and the rows cannot be fitted.
    """
    from analysis.inference.designs.truths import fitted, published

    if options.truth:
        found = []
        for text in options.truth:
            name, _, constants = text.partition(":")
            of = law_named(name, {})
            sets = [of.constants(constants)] if constants else of.published
            found += [published(of, each) for each in sets]
        return found, options.noise or NOISE
    if rows is not None and _finished(rows) > len(law.parameters) + 1:
        from analysis.fitting.fit import fit

        options.progress(f"fitting {law.name} to the rows at {rows.path}")
        known = {name: rows.columns[name] for name in rows.columns if name in law.variables}
        result = fit(
            law, rows.table, loss=rows.loss, columns=known, bootstrap=RESAMPLES,
            resampling="dirichlet",
        )  # fmt: skip
        return [fitted(rows.path, result)], options.noise or result.noise
    if not law.published:
        raise UserError(
            f"law '{law.name}' has no published constants: give --truth LAW:CONSTANTS, or rows "
            "with losses"
        )
    return [published(law, each) for each in law.published], options.noise or NOISE


def _finished(rows: TableSource) -> int:
    return int(rows.table[rows.loss].notna().sum()) if rows.loss in rows.table else 0


def row(outcome: Outcome) -> list[Any]:
    """The cells of `HEAD` for one kind of truth."""
    import numpy as np

    low, middle, high = np.quantile(100 * outcome.width, [0.05, 0.5, 0.95])
    return [
        outcome.kind,
        round(float(middle), 2),
        Shown({"low": low, "high": high}, f"{low:.2f} to {high:.2f}"),
        round(float(100 * np.abs(outcome.error).mean()), 2),
        round(float(100 * outcome.error.mean()), 2),
        Shown(
            {"value": 100 * outcome.coverage, "se": 100 * outcome.coverage_se},
            f"{100 * outcome.coverage:.0f} +- {100 * outcome.coverage_se:.0f}",
        ),
        round(100 * outcome.score, 2),
        round(float(outcome.rungs.mean()), 1),
    ]
