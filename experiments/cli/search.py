"""Find the best fields of a run: start many briefly, train the best on.

example:
  python -m experiments search lr_search --set R=27 --sampler optuna
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from experiments.record import AGAIN
from scaling.common.command_line import Parser
from scaling.common.tables import table

if TYPE_CHECKING:
    from experiments.launchers import Launcher
    from experiments.plan.run import Run
    from experiments.search.cost import Totals
    from experiments.search.samplers import Tried
    from experiments.search.searcher import Searcher
    from experiments.sweep.progress import Progress

BEST = 10  # candidates shown at the end


def add(parser: Parser) -> None:
    common.add_file(parser, "search")
    parser.add_argument(
        "--sampler",
        default="random",
        help="the sampler of candidates: 'random' (default) or 'optuna'",
    )
    common.add_launcher(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the cost, train nothing")


def run(options: argparse.Namespace) -> int:
    from experiments import launchers

    launcher = launchers.chosen(options)
    return launcher.carry_out(partial(_search, options, launcher))


def _search(options: argparse.Namespace, launcher: Launcher) -> int:
    from experiments import studies
    from experiments.search.promotion import UnfinishedError
    from experiments.search.searcher import bind
    from experiments.sweep.progress import Progress

    def watching(runs: Sequence[Run], finished: Sequence[str]) -> Progress:
        if missing := len(runs) - len(finished):
            tokens = runs[-1].ledger["tokens"]
            print(f"next rung: {missing} to train, to {tokens:,.0f} tokens each", flush=True)
        return Progress(runs, finished)

    plan = studies.load_search(options.search, options.assignments)
    found = bind(
        plan,
        options.sampler,
        options.out or Path("runs") / plan.name,
        options.cache,
        launcher,
        watching,
        (lambda text: None) if options.dry_run else common.on_stderr,
    )
    if options.dry_run:
        return _dry_run(found)
    try:
        found.run()
    except UnfinishedError as error:
        print(error, "not finished: the same command continues from the last checkpoints", sep="\n")
        return AGAIN
    _results(found)
    return 0


def _dry_run(found: Searcher) -> int:
    from experiments.search.cost import planned, rungs

    plan = found.search
    science = plan.base.science
    print(f"{plan.question}\n{found.corpora.describe()}\n")
    print(
        f"{plan.method}: R={plan.R}, eta={plan.eta}, {plan.candidates} candidates of the sampler "
        f"'{found.sampler}'; budget 1 is {science.budget.tokens:,} tokens"
    )
    for name, kind in plan.space.items():
        print(f"  {name}: {kind}")
    rows = [
        [
            str(rung.bracket),
            f"{float(rung.budget):.4g}",
            f"{rung.from_start.tokens:,.0f}",
            str(rung.candidates),
            f"{rung.from_start.flops_model:.3g}",
        ]
        for rung in rungs(plan)
    ]
    head = ("bracket", "budget", "tokens", "candidates", "flops_model")
    print(f"\n{table(head, rows, left=0)}")
    print()
    _print_totals(planned(plan))
    if len(found.greatest) > 1 and plan.promotion != "efficient":
        print(f"at least: '{plan.promotion}' may promote more, depending on the scores")
    if any(name.startswith(("model", "batch")) for name in plan.space):
        print("FLOPs and whole steps are those of the base: the candidates differ in them")
    return 0


def _results(found: Searcher) -> None:
    ranked = [found.tried[candidate] for candidate in found.ranked()]
    fields = list(ranked[0].fields)
    budgets = sorted({tokens for one in ranked for tokens in one.scores})
    head = [*fields, *(f"{tokens:,}" for tokens in budgets)]
    rows = [
        [*(_text(one.fields[name]) for name in fields), *(_loss(one, t) for t in budgets)]
        for one in ranked[:BEST]
    ]
    print("validation loss in nats/token by tokens, best first:")
    print(table(head, rows, left=0))
    if len(ranked) > BEST:
        print(f"... and {len(ranked) - BEST} more in search.json")
    print()
    _print_totals(found.totals())


def _print_totals(totals: Totals) -> None:
    rows = [
        [
            text,
            f"{float(cost.units):,.4g}",
            f"{cost.tokens:,.0f}",
            f"{cost.flops_model:.3g}",
            f"{cost.tokens / totals.everything.tokens:.1%}",
        ]
        for text, cost in (
            ("promoted candidates continue", totals.resumed),
            ("if they started again", totals.restarted),
            ("if all candidates were trained to R", totals.everything),
        )
    ]
    print(table(("cost", "budgets", "tokens", "flops_model", "share"), rows))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _loss(one: Tried, tokens: int) -> str:
    if tokens not in one.scores:
        return ""
    return "diverged" if math.isnan(one.scores[tokens]) else f"{one.scores[tokens]:.4f}"
