"""The ladder that buys the narrowest interval at a target for a budget.

Sizes, tokens per parameter and seeds are searched for the least expected interval score under a
mixture of truths: a law with its constants, bent, broken, with noise that grows. The ladder found
is then simulated on other truths beside the geometric ladder of equal cost, and beside the runs of
--against. A budget of hours, kWh or money takes its price from the runs of --measured, or from
--flops-per-unit. --to writes the runs as CSV, which `simulate` reads.

  windtunnel design --target params=2.6e5,tokens=1.2e7 --budget 5e12 --truth chinchilla --studies 4
  windtunnel design runs/quickstart --target params=4.4e5,tokens=1.8e7 --budget 1e13 --studies 4
  windtunnel design runs/quickstart --target params=4.4e5,tokens=1.8e7 --budget 2 --unit hours \\
      --measured runs/quickstart --studies 4
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from analysis.cli._at import points
from analysis.cli._measured import add_unit, per_unit, rate_line
from analysis.cli._table_options import DEFAULT_LAW, add_source, law_named
from analysis.cli._truths import HEAD, KEYS, add_truths, row, sources
from analysis.cli.simulate import check_law, ladder_of, read_plan
from scaling.common.answers import Answer, AnswerPart, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.files import output_file
from scaling.common.quantities import not_negative, positive, positives

if TYPE_CHECKING:
    from analysis.inference.designs.search import Rung, Search, Space
    from analysis.inference.designs.simulate import Ladder, Outcome

SPAN = 20.0  # the target over the least size, if --sizes gives none
LARGEST = 0.9  # of the target's size: the largest cell
RATIO = 3.0  # about the target's own, up and down
APART = 1000  # between the seed of the search and that of the comparison


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, optional="their fit gives the truths; none for published ones")
    parser.add_argument(
        "--target", required=True, metavar="params=N,tokens=D", help="the run to predict"
    )
    parser.add_argument("--budget", type=positive, required=True, help="of the whole ladder")
    add_unit(parser)
    parser.add_argument(
        "--sizes", type=positives, metavar="N,...", help="sizes that runs may have (default: 12)"
    )
    parser.add_argument(
        "--ratios",
        type=positives,
        metavar="LOW,HIGH",
        help="tokens per parameter that runs may have (default: a third to three times the "
        "target's)",
    )
    parser.add_argument(
        "--least-tokens", type=not_negative, default=0.0, metavar="D", help="of the shortest run"
    )
    parser.add_argument(
        "--largest", type=positive, metavar="C", help="FLOPs of the largest run of the ladder"
    )
    parser.add_argument(
        "--against", metavar="STUDY", help="compare with the planned runs of this study, too"
    )
    parser.add_argument(
        "--to", type=output_file, metavar="FILE.csv", help="write the runs, one row each"
    )
    add_truths(parser, studies=50)


def run(options: argparse.Namespace) -> Answer:
    """Search, print the ladder rung by rung, and compare."""
    from analysis.inference.designs.search import geometric, search

    if options.path and options.truth:
        raise UserError("design: truths come from the rows or from --truth, not from both")
    (target,) = points([options.target], ("params", "tokens"), "--target")
    rate = per_unit(options)
    if options.measured:
        yield rate_line(options, rate)
    budget = options.budget * rate
    space = _space(options, target)
    rows = read_plan(options.path) if options.path else None
    law = law_named(options.law or (rows.law if rows else DEFAULT_LAW), {})
    check_law(law)
    found, noise = sources(options, law, rows)
    options.progress("searching")
    made = search(law, space, target, budget, found, noise, options.largest, options.seed)
    yield Line(
        "{runs} runs of {cost} {unit}; the target is {reach} times the largest run",
        runs=len(made.best.ladder),
        cost=made.best.cost / rate,
        unit=options.unit,
        reach=float(6 * target["params"] * target["tokens"] / made.best.ladder.compute.max()),
    )
    yield _rungs(made, rate, options.unit)
    yield from _next(made, rate, options.unit)
    ladders = {
        "designed": made.best.ladder,
        "geometric": geometric(law, space, budget, options.largest),
    }
    if options.against:
        ladders[options.against] = ladder_of(read_plan(options.against), law)
    yield from _compared(options, ladders, target, found, noise)
    if options.to:
        import pandas as pd

        best = made.best.ladder
        sizes = {"params_total": best.variables["params"], "tokens": best.variables["tokens"]}
        pd.DataFrame(sizes).round().assign(rung=best.rung).to_csv(options.to, index=False)
        yield Line("wrote {file}", file=str(options.to))
    return 0


def _space(options: argparse.Namespace, target: Any) -> Space:
    import numpy as np

    from analysis.inference.designs.search import RATIOS, Space

    own = target["tokens"] / target["params"]
    ratios = options.ratios or (own / RATIO, own * RATIO)
    if len(ratios) != 2 or not ratios[0] < ratios[1]:
        raise UserError("--ratios: give the lowest and the highest, such as 20,150")
    if not options.sizes:
        most = LARGEST * target["params"]
        return Space.between(target["params"] / SPAN, most, ratios, options.least_tokens)
    sizes = np.unique(options.sizes)
    if sizes[-1] > target["params"]:
        raise UserError(f"--sizes: {sizes[-1]:g} lies above the target's {target['params']:g}")
    return Space(sizes, np.geomspace(ratios[0], ratios[1], RATIOS), options.least_tokens)


def _rungs(made: Search, per_unit: float, unit: str) -> Rows:
    head = ("params", "tokens (seeds)", f"cost, {unit}", "spent", "half-width so far, %")
    return Rows(
        "ladder", head, [_rung(each, per_unit) for each in made.rungs], left=(1,), above="\n"
    )


def _rung(rung: Rung, per_unit: float) -> list[Any]:
    runs = ", ".join(f"{tokens:.3g}" + f" ({seeds})" * (seeds > 1) for tokens, seeds in rung.runs)
    half = None if rung.expected is None else round(float(100 * rung.expected.width.mean()), 2)
    return [round(rung.params), runs, rung.cost / per_unit, rung.spent / per_unit, half]


def _next(made: Search, per_unit: float, unit: str) -> Iterator[AnswerPart]:
    """The next run and its worth, and the rule to stop."""
    now, then = (float(each.width.mean()) for each in (made.best.expected, made.next_expected))
    more = made.next_cost / made.best.cost
    yield Line(
        "\nnext run: {next_params} parameters on {next_tokens} tokens, {next_cost} {unit_of_next} "
        "({more:.0%} more): half-width {now:.2f} to {then:.2f} %",
        next_params=made.next_params,
        next_tokens=made.next_tokens,
        next_cost=made.next_cost / per_unit,
        unit_of_next=unit,
        more=more,
        now=100 * now,
        then=100 * then,
    )
    yield Note(
        "stop where the next run narrows the interval by a smaller share than it adds to the cost "
        f"({1 - then / now:.1%} for {more:.1%} here)"
    )


def _compared(
    options: argparse.Namespace, ladders: dict[str, Ladder], target: Any, found: Any, noise: float
) -> Iterator[AnswerPart]:
    """All ladders on truths that the search has not seen."""
    import numpy as np

    from analysis.inference.designs.simulate import simulate
    from analysis.inference.designs.truths import KINDS, truths

    aims = {name: np.array([value]) for name, value in target.items()}
    rows: list[list[Any]] = []
    outcomes: dict[str, list[Outcome]] = {}
    for name, ladder in ladders.items():
        for kind in KINDS:
            options.progress(f"simulating {options.studies} studies: {name}, {kind}")
            seed = options.seed + APART
            drawn = truths(kind, found, ladder.variables, aims, noise, options.studies, seed=seed)
            outcome = simulate(ladder, aims, drawn, options.bootstrap, seed)
            outcomes.setdefault(name, []).append(outcome)
            rows.append([name, float(ladder.compute.sum()), *row(outcome)])
    head = ("ladder", "FLOPs", *HEAD)
    yield Rows("compared", head, rows, left=(0, 2), above="\n", keys=("ladder", "flops", *KEYS))
    ours = _half(outcomes["designed"])
    for name in list(ladders)[1:]:
        theirs = _half(outcomes[name])
        yield Line(
            "half-width {ours:.2f} % as designed, {theirs:.2f} % by {other}: {less:+.1%}",
            "gains",
            ours=100 * ours,
            other=name,
            theirs=100 * theirs,
            less=ours / theirs - 1,
        )


def _half(outcomes: list[Outcome]) -> float:
    """The mean over kinds of the median half-width."""
    import numpy as np

    return float(np.mean([np.median(each.width) for each in outcomes]))
