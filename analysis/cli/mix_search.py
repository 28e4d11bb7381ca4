"""Play searches of the best mixture on a table of mixtures that were trained at two sizes.

Four searches pay for the runs that they look at: at random, all small runs first, expected
improvement of the large runs, and improvement per cost of runs of both sizes. They are compared by
the cost of a mixture as good as the best of the table, and by their regret on the way.

  windtunnel mix-search regmix --small split==test_1m --large split==test_60m --target pile_cc
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from analysis.cli._table_options import add_source, open_source
from scaling.common.answers import Answer, Estimate, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import count, positive

if TYPE_CHECKING:
    import pandas as pd

BUDGETS = (6.0, 10.0, 20.0)
COST = "flops_6nd", "params_total"  # by the first that the table has


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    parser.add_argument("--small", required=True, metavar="ROWS", help="the runs of the small size")
    parser.add_argument("--large", required=True, metavar="ROWS", help="those of the large size")
    parser.add_argument(
        "--target", action="append", default=[], metavar="TEXT", help="may be given again (all)"
    )
    parser.add_argument(
        "--ratio", type=positive, help="cost of a small run over a large one (by their columns)"
    )
    parser.add_argument("--within", type=positive, default=0.1, metavar="%", help="of the best")
    parser.add_argument("--seeds", type=count, default=20, help="of each search (default 20)")


def run(options: argparse.Namespace) -> Answer:
    """Play every search with every seed, then print costs and regrets."""
    import numpy as np

    from analysis.inference.mixing.regressions import proxies_of, spearman
    from analysis.inference.mixing.search import (
        SEARCHES,
        cost_to,
        interval,
        play,
        regret,
        trials_of,
    )
    from analysis.tables.query import where

    table = open_source(options.path).table
    rows = [where(table, each) for each in (options.small, options.large)]
    small, large = map(proxies_of, rows)
    ratio = options.ratio or _ratio(*rows)
    trials = trials_of(small, large, large.target(options.target), ratio)
    yield Line(
        "{mixtures} mixtures at two sizes; a small run costs {ratio:.3g} of a large one; target: "
        "{target}; the losses of the sizes have a rank correlation of {spearman:.3f}",
        mixtures=len(trials.large),
        ratio=ratio,
        target=", ".join(options.target or large.targets),
        spearman=spearman(trials.small, trials.large),
    )
    costs, regrets = [], []
    for name, search in SEARCHES.items():
        steps = []
        for seed in range(options.seeds):
            options.progress(f"{name}", seed, options.seeds)
            steps.append(play(trials, search, seed, options.within / 100, BUDGETS[-1]))
        found = np.array([cost_to(trials, each, options.within / 100) for each in steps])
        costs.append((name, Estimate(*interval(found), digits=3)))
        values = [
            interval(np.array([100 * regret(trials, each, paid) for each in steps]))
            for paid in BUDGETS
        ]
        regrets.append((name, *(Estimate(*value, digits=3) for value in values)))
    yield Rows(
        "costs", ("search", f"large runs until within {options.within:g} %"), costs, above="\n"
    )
    head = ("search", *(f"regret after {paid:g}, %" for paid in BUDGETS))
    yield Rows("regrets", head, regrets, above="\n")
    yield Note(
        f"medians of {options.seeds} seeds and their 95 % intervals; small runs are paid for"
    )
    return 0


def _ratio(small: pd.DataFrame, large: pd.DataFrame) -> float:
    """The cost of a small run over that of a large one."""
    for name in COST:
        if name in small.columns and small[name].notna().all() and large[name].notna().all():
            return float(small[name].mean() / large[name].mean())
    raise UserError(f"no column {' or '.join(COST)} that tells a run's cost; give --ratio")
