"""``python -m experiments search``: what a search would cost, its progress, and what it found."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from experiments import launchers
from experiments.launchers import Launcher
from experiments.plan import study as studies
from experiments.plan.study import Run
from experiments.record import AGAIN
from experiments.search.cost import Bill, planned, rungs
from experiments.search.plan import SEARCHES, Search
from experiments.search.promotion import UnfinishedError
from experiments.search.samplers import Tried
from experiments.search.searcher import Searcher, bind

BEST = 10  # candidates shown at the end


def search(args: argparse.Namespace) -> int:
    launcher = launchers.chosen(args)
    return launchers.carry_out(launcher, partial(_search, args, launcher))


def _search(args: argparse.Namespace, launcher: Launcher) -> int:
    from experiments.sweep.progress import Progress

    def watching(runs: Sequence[Run], finished: Sequence[str]) -> Progress:
        if missing := len(runs) - len(finished):
            tokens = runs[-1].ledger["tokens"]
            print(f"next rung: {missing} to train, to {tokens:,.0f} tokens each", flush=True)
        return Progress(runs, finished)

    plan: Search = studies.build(SEARCHES, args.search, args.assignments)
    found = bind(
        plan,
        args.sampler,
        args.out or Path("runs") / plan.name,
        args.cache,
        launcher,
        watching,
        (lambda text: None) if args.dry_run else (lambda text: print(text, file=sys.stderr)),
    )
    if args.dry_run:
        return _dry_run(found)
    try:
        found.run()
    except UnfinishedError as error:
        print(error, "not finished: the same command goes on from the last checkpoints", sep="\n")
        return AGAIN
    _results(found)
    return 0


def _dry_run(found: Searcher) -> int:
    plan = found.search
    science = plan.base.science
    print(f"{plan.question}\n{found.corpus.describe()}\n")
    print(
        f"{plan.method}: R={plan.R}, eta={plan.eta}, {plan.candidates} candidates of the sampler "
        f"'{found.sampler}'; budget 1 is {science.budget.tokens:,} tokens"
    )
    for name, kind in plan.space.items():
        print(f"  {name}: {kind}")
    print(f"\n{'bracket':>7} {'budget':>8} {'tokens':>14} {'candidates':>10} {'flops_model':>11}")
    for rung in rungs(plan):
        cost = rung.from_start
        print(
            f"{rung.bracket:>7} {float(rung.budget):>8.4g} {cost.tokens:>14,.0f} "
            f"{rung.candidates:>10} {cost.flops_model:>11.3g}"
        )
    print()
    _bill(planned(plan))
    if len(found.greatest) > 1 and plan.promotion != "efficient":
        print(f"at least: whom '{plan.promotion}' promotes besides depends on the scores")
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
    print("validation loss in nats/token after so many tokens, best first:")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    if len(ranked) > BEST:
        print(f"... and {len(ranked) - BEST} more in search.json")
    print()
    _bill(found.bill())


def _bill(bill: Bill) -> None:
    print(f"{'cost':42} {'budgets':>9} {'tokens':>14} {'flops_model':>11}")
    for text, cost in (
        ("promoted candidates go on", bill.resumed),
        ("if they started again", bill.restarted),
        ("if all candidates were trained to R", bill.everything),
    ):
        share = cost.tokens / bill.everything.tokens
        print(
            f"{text:42} {float(cost.units):>9,.4g} {cost.tokens:>14,.0f} "
            f"{cost.flops_model:>11.3g} {share:>6.1%}"
        )


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _loss(one: Tried, tokens: int) -> str:
    if tokens not in one.scores:
        return ""
    return "diverged" if math.isnan(one.scores[tokens]) else f"{one.scores[tokens]:.4f}"
