"""Find the best fields of a run: start many briefly, train the best on.

example:
  windtunnel search lr_search --set R=27 --sampler optuna
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from experiments.record import AGAIN
from scaling.common.answers import (
    Answer,
    AnswerPart,
    Line,
    Note,
    Rows,
    Shown,
    add_json,
    deliver,
)
from scaling.common.command_line import Parser
from scaling.common.files import output_folder

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
    add_json(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the cost, train nothing")


def run(options: argparse.Namespace) -> int:
    from experiments import launchers

    launcher = launchers.chosen(options)
    return launcher.carry_out(lambda: deliver(_search(options, launcher), options.json))


def _search(options: argparse.Namespace, launcher: Launcher) -> Answer:
    from experiments import studies
    from experiments.search.promotion import UnfinishedError
    from experiments.search.searcher import bind
    from experiments.sweep.progress import Progress
    from experiments.sweep.under_way import under_way

    def watching(runs: Sequence[Run], finished: Sequence[str]) -> Progress:
        if missing := len(runs) - len(finished):
            tokens = runs[-1].ledger["tokens"]
            common.on_stderr(f"next rung: {missing} to train, to {tokens:,.0f} tokens each")
        return Progress(runs, finished)

    plan = studies.load_search(options.search, options.assignments)
    folder = options.out or Path("runs") / plan.name
    tell = (lambda text: None) if options.dry_run else common.on_stderr
    place = (folder if options.dry_run else output_folder(folder), options.cache)
    bound = partial(bind, plan, options.sampler, *place, launcher, watching, tell)
    if options.dry_run:
        return (yield from _dry_run(bound()))
    options.progress.stop()  # the sweep has its own
    try:
        with under_way(*place):
            found = bound()
            found.run()
    except UnfinishedError as error:
        left = "not finished: the same command continues from the last checkpoints"
        yield Line("{failure}\n{left}", failure=str(error), left=left)
        return AGAIN
    yield from _results(found)
    return 0


def _dry_run(found: Searcher) -> Answer:
    from experiments.search.cost import planned, rungs

    plan = found.search
    science = plan.base.science
    corpora = found.corpora.describe()
    yield Line("{question}\n{corpora}\n", question=plan.question, corpora=corpora)
    yield Line(
        "{method}: R={R}, eta={eta}, {candidates} candidates of the sampler '{sampler}'; "
        "budget 1 is {tokens:,} tokens",
        method=plan.method,
        R=plan.R,
        eta=plan.eta,
        candidates=plan.candidates,
        sampler=found.sampler,
        tokens=science.budget.tokens,
    )
    for name, kind in plan.space.items():
        yield Line("  {field}: {values}", "space", field=name, values=str(kind))
    rows = [
        [
            rung.bracket,
            float(rung.budget),
            Shown.of(rung.from_start.tokens, ",.0f"),
            rung.candidates,
            Shown.of(rung.from_start.flops_model, ".3g"),
        ]
        for rung in rungs(plan)
    ]
    head = ("bracket", "budget", "tokens", "candidates", "flops_model")
    yield Rows("rungs", head, rows, left=0, above="\n")
    yield _totals(planned(plan))
    if len(found.greatest) > 1 and plan.promotion != "efficient":
        yield Note(f"at least: '{plan.promotion}' may promote more, depending on the scores")
    if any(name.startswith(("model", "batch")) for name in plan.space):
        yield Note("FLOPs and whole steps are those of the base: the candidates differ in them")
    return 0


def _results(found: Searcher) -> Iterator[AnswerPart]:
    ranked = [found.tried[candidate] for candidate in found.ranked()]
    fields = list(ranked[0].fields)
    budgets = sorted({tokens for one in ranked for tokens in one.scores})
    head = [*fields, *(f"{tokens:,}" for tokens in budgets)]
    rows = [
        [*(_cell(one.fields[name]) for name in fields), *(_loss(one, t) for t in budgets)]
        for one in ranked[:BEST]
    ]
    above = "validation loss in nats/token by tokens, best first:\n"
    yield Rows("best", head, rows, left=0, above=above)
    if len(ranked) > BEST:
        yield Line("... and {more} more in search.json", more=len(ranked) - BEST)
    yield _totals(found.totals())


def _totals(totals: Totals) -> Rows:
    rows = [
        [
            text,
            Shown.of(float(cost.units), ",.4g"),
            Shown.of(cost.tokens, ",.0f"),
            Shown.of(cost.flops_model, ".3g"),
            Shown.of(cost.tokens / totals.everything.tokens, ".1%"),
        ]
        for text, cost in (
            ("promoted candidates continue", totals.resumed),
            ("if they started again", totals.restarted),
            ("if all candidates were trained to R", totals.everything),
        )
    ]
    head = ("cost", "budgets", "tokens", "flops_model", "share")
    return Rows("costs", head, rows, above="\n")


def _cell(value: object) -> object:
    return Shown.of(value, "g") if isinstance(value, float) else value


def _loss(one: Tried, tokens: int) -> Shown:
    if tokens not in one.scores:
        return Shown(None, "")
    loss = one.scores[tokens]
    return Shown("diverged", "diverged") if math.isnan(loss) else Shown.of(loss, ".4f")
