"""Rank laws on the same rows by their predictions, or families of runs by gains or by tuning.

The rank is by the rms log error over the rows held out (--holdout). Without them it is by that of
the rows at or above each budget, predicted from those below it (--over, --below). Without budgets
it is by AICc. AICc judges the rows fitted and counts checkpoints of one run as independent. For
extrapolation, use the errors.

With --bootstrap, `inside` is the share of held-out rows in their 95 % intervals. `score` is their
mean width, plus 40 times the distance of a row outside: least where they are honest and narrow.

With --at and --bootstrap the laws predict together, each by its Akaike weight, exp(-AICc / 2) over
the sum. The interval holds their differences, and the errors of the choice rolled forward.

Without --law the labels of the runs are families. Each has a fit of its own, and its gain over the
first (or --against) is the factor by which that one needs more FLOPs, tokens or seconds to reach
its loss: at the largest budget, and for tokens the largest size, that all families reached.
Intervals are of 400 resamples unless --bootstrap says otherwise.

With --equal-tuning the runs of a label are the trials of one search, of one size. A row is a bill:
the best loss that each search has found when it has spent so much.

  windtunnel compare runs/families
  windtunnel compare runs/rates --equal-tuning --where rung==0 --plot tuned
  windtunnel compare chinchilla_epoch --law chinchilla --law chinchilla,beta=alpha
  windtunnel compare runs/isoflop --law chinchilla --law kaplan --holdout 'flops_6nd>1e12' \\
      --bootstrap 300
  windtunnel compare table.csv --law chinchilla --law kaplan --over flops_6nd --below 1e20
  windtunnel compare table.csv --law chinchilla --law chinchilla,beta=alpha --bootstrap 100 \\
      --at params=7B,tokens=140B
"""

from __future__ import annotations

import argparse
import copy
from collections import Counter
from collections.abc import Mapping

from analysis.cli import _equal_tuning, _families
from analysis.cli._at import add_at, columns, points, predicted
from analysis.cli._plot import add_plot, plot
from analysis.cli._residuals import draw
from analysis.cli._table_options import add_source, add_table, fit_source, law_named, pairs, read
from scaling.common.answers import Answer, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import number

HEAD = (
    "law", "rank", "parameters", "held out, %", "inside, %", "score, %", "rolled, %",
    "AICc - best", "status",
)  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    parser.add_argument(
        "--law",
        action="append",
        default=[],
        metavar="LAW",
        help="a law of `windtunnel laws`, twice or more; NAME,beta=alpha ties parameters",
    )
    parser.add_argument(
        "--against", metavar="LABEL", help="the family that others are compared with"
    )
    parser.add_argument(
        "--equal-tuning",
        action="store_true",
        help="compare the best losses of the labels' searches at equal bills",
    )
    parser.add_argument("--over", metavar="COLUMN", help="roll the fits forward over this column")
    parser.add_argument(
        "--below",
        action="append",
        default=[],
        type=number,
        metavar="X",
        help="and its budgets",
    )
    add_table(parser)
    add_at(parser)
    add_plot(parser, "the residuals of every law, or the searches")


def run(options: argparse.Namespace) -> Answer:
    """Fit every law and print the ranking, or the gains of families, or their searches."""
    if options.equal_tuning:
        yield from _equal_tuning.compare(options)
        return 0
    if not options.law and options.at:
        raise UserError("compare: --at is predicted by laws; give --law, twice or more")
    if not options.law:
        yield from _families.compare(options)
        return 0
    if options.against:
        raise UserError("compare: --against names a family; leave out --law to compare families")
    from analysis.inference.compare import averaged, compare, title

    source = read(options.path, options)
    if twice := [law for law, times in Counter(options.law).items() if times > 1]:
        raise UserError(f"compare: --law {twice[0]} is given twice; give laws that differ")
    laws = {each: law_named(each, pairs("--fix", options.fix)).variables for each in options.law}
    at = points(options.at, laws[options.law[0]])
    results = [fit_source(source, law, _of(laws, law, options)) for law in options.law]
    options.progress("predicting from the rows below each budget")
    ranking = compare(results, over=options.over, below=options.below)
    rows = [
        (
            row["law"],
            row["rank"],
            row["parameters"],
            100 * row["held_out"],
            100 * row["inside"],
            100 * row["interval_score"],
            100 * row["rolled"],
            row["aicc_above_best"],
            row["status"],
        )
        for row in ranking.to_dict("records")
    ]
    yield Rows("laws", HEAD, rows)
    for each in results:
        if each.held_out and each.held_out.has_intervals:
            contents = each.held_out.prediction.contains
            yield Note(f"inside, score: intervals of a new run by {title(each)}: {contents}")
    if at:
        mixed = averaged(results)
        yield from predicted(mixed.predict_at(columns(at)), at, results[0].recipe.loss)
        yield Note(f"predicted by {mixed}")
    yield from map(Note, dict.fromkeys(note for each in results for note in each.points.notes))
    yield from plot(options, lambda: draw(results))
    return 0


def _of(
    laws: Mapping[str, tuple[str, ...]], law: str, options: argparse.Namespace
) -> argparse.Namespace:
    """The options for one law, without the columns that are of other laws alone."""
    asked = copy.copy(options)
    elsewhere = {name for names in laws.values() for name in names} - set(laws[law])
    for name in elsewhere & {"params", "tokens", "x"}:
        setattr(asked, name, None)
    asked.column = [each for each in options.column if each.partition("=")[0] not in elsewhere]
    return asked
