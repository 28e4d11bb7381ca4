"""Parameters, tokens and loss of a budget, or the budget of a loss, with intervals and reach.

The parameters and tokens of least loss at C = 6 N D, from published constants or from a fit to
your runs. A fit also plans a fixed size, fixed tokens per parameter (--ratio), a loss to reach
(--to-loss), all runs of one loss (--iso-loss), and training plus serving (--inference-tokens). The
interval of a loss is that of a new run. Beyond 100 times the largest run a note says how the error
grows; beyond 10,000 times a plan needs --beyond.

  windtunnel plan --law chinchilla:besiroglu2024 --flops 5.76e23
  windtunnel plan runs/quickstart --flops 1e13 --bootstrap 1000
  windtunnel plan runs/quickstart --budget 0.01,0.05 --unit hours --measured runs/quickstart
  windtunnel plan table.csv --params n --tokens d --flops 1e22 --plot plan
  windtunnel plan runs/isoflop --flops 1e13,1e14 --ratio 20 --inference-tokens 1e9 --bootstrap 200
  windtunnel plan table.csv --params n --tokens d --to-loss 2.4 --iso-loss 2.4 --bootstrap 200
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._measured import add_unit, per_unit, rate_line
from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import add_source, add_table, fit_path, refuse_idle, summary
from scaling.common.answers import Answer, Estimate, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import positive, positives

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult
    from analysis.fitting.types import Allocation
    from analysis.inference.budgets.plans import RunPlan
    from analysis.inference.budgets.published import Plan


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, "a law, or law:constants without a path", "none for constants")
    parser.add_argument(
        "--flops", type=positives, action="extend", default=[], metavar="C,...", help="budgets"
    )
    parser.add_argument(
        "--budget", type=positives, default=(), metavar="B,...", help="budgets in --unit, too"
    )
    add_unit(parser)
    parser.add_argument(
        "--size", type=positive, metavar="N", help="at each budget, also a run of this size"
    )
    parser.add_argument(
        "--ratio", type=positive, metavar="R", help="at each budget, also R tokens per parameter"
    )
    parser.add_argument(
        "--inference-tokens",
        type=positive,
        metavar="T",
        help="at each budget, also the best run that is trained and serves T tokens within it",
    )
    parser.add_argument(
        "--to-loss", type=positives, default=(), metavar="L,...", help="cheapest runs of a loss"
    )
    parser.add_argument(
        "--iso-loss", type=positives, default=(), metavar="L,...", help="all runs of a loss"
    )
    parser.add_argument(
        "--beyond", action="store_true", help="plan over 10,000 times beyond the largest run"
    )
    add_table(parser)
    add_plot(parser, "the plans on the law and its frontier")


def run(options: argparse.Namespace) -> Answer:
    """Print one row per budget."""
    rate = per_unit(options)
    if options.unit != "flops" and not options.budget:
        raise UserError(f"plan: --unit {options.unit} is of a budget; give --budget B,...")
    if options.measured:
        yield rate_line(options, rate)
    options.flops = [*options.flops, *(each * rate for each in options.budget)]
    name, _, constants = (options.law or "").partition(":")
    if not (options.flops or options.to_loss or options.iso_loss):
        raise UserError(
            "plan: give --flops C,..., --budget B,..., --to-loss L,... or --iso-loss L,..."
        )
    for of_budget in ("size", "ratio", "inference_tokens"):
        if getattr(options, of_budget) and not options.flops:
            raise UserError(f"plan: --{of_budget.replace('_', '-')} is of a budget; give --flops")
    if options.path is None:
        return (yield from _published(options, name or "chinchilla", constants))
    if constants:
        raise UserError(f"plan {options.path} --law {options.law}: rows or constants, not both")
    from analysis.inference.budgets.plans import WARNED, growth, horizon
    from analysis.inference.plots import draw

    result = fit_path(options.path, name or None, options)
    plans = [result.optimal(flops) for flops in options.flops]
    asked = _asked(result, options)
    _check_reach(options, [*plans, *(each for _, made in asked for each in made)])
    yield from summary(result)
    first = plans[0].prediction if plans else asked[0][1][0].prediction
    yield Note(
        first.without or f"intervals of N*, D*, D/N: constants; of the loss: {first.contains}"
    )
    columns = result.recipe.columns
    said = "C = {compute}, with N = {params}, D = {tokens}, loss = {loss}"
    yield Line(said, "columns", compute="6 N D", **columns, loss=result.recipe.loss)
    if not first.without:
        yield _horizon(horizon(result), float(result.budgets.max()))
    if plans:
        yield _plans(plans, [float(plan.beyond["compute"]) for plan in plans])
    for name, made in asked:
        yield Rows(name, _HEADS[name], [_row(name, each) for each in made], left=0, above="\n")
    yield from (
        Note(f"C = {float(plan.flops):g}: {plan.distance}") for plan in plans if plan.distance
    )
    if (far := _farthest(plans, asked)) > WARNED:
        yield Note(
            f"WARNING: {far:.3g} times outside the fitted rows: few laws were seen to hold so far; "
            f"{growth(result)}"
        )
    yield from plot(options, lambda: draw(("compute", "frontier"), result, plans))
    return 0


_RUN = ("N, parameters", "D, tokens", "D/N", "loss", "C, times outside")
_HEADS = {
    "fixed_size": ("C, FLOPs", *_RUN),
    "fixed_ratio": ("C, FLOPs", *_RUN),
    "with_serving": ("C with serving", "C, FLOPs", *_RUN),
    "to_loss": ("C, FLOPs", *_RUN),
    "iso_loss": ("C, FLOPs", *_RUN),
}


def _asked(result: FitResult, options: argparse.Namespace) -> list[tuple[str, list[RunPlan]]]:
    """The tables of plans beside those of the budgets, by name."""
    from analysis.inference.budgets import plans

    budgets, served = options.flops, options.inference_tokens
    found = {
        "fixed_size": [plans.at_size(result, C, options.size) for C in budgets if options.size],
        "fixed_ratio": [plans.at_ratio(result, C, options.ratio) for C in budgets if options.ratio],
        "with_serving": [plans.serving(result, C, served) for C in budgets if served],
        "to_loss": [plans.to_loss(result, loss) for loss in options.to_loss],
        "iso_loss": [run for loss in options.iso_loss for run in plans.iso_loss(result, loss)],
    }
    return [(name, made) for name, made in found.items() if made]


def _row(name: str, plan: RunPlan) -> list[Any]:
    ratio = plan.tokens[0] / plan.params[0]
    cells = [Estimate.of(each) for each in (plan.flops, plan.params, plan.tokens)]
    whole = [plan.whole] if name == "with_serving" else []
    return [*whole, *cells, ratio, Estimate.of(plan.loss), plan.reach]


def _horizon(flops: float, largest: float) -> Line:
    sure = "surely buys the loss of the law up to C = {horizon}, {times} times the largest run"
    none = "does not surely buy the loss of the law even at the largest run, of C = {largest_run}"
    said = f"horizon: twice the compute {sure if flops else none}"
    return Line(said, horizon=flops, times=flops / largest, largest_run=largest)


def _farthest(plans: Sequence[Any], asked: Sequence[tuple[str, Sequence[RunPlan]]]) -> float:
    """The largest compute of a plan over that of the fitted rows."""
    reaches = [float(plan.beyond["compute"]) for plan in plans]
    return max([*reaches, *(plan.reach for _, made in asked for plan in made)])


def _check_reach(options: argparse.Namespace, plans: Sequence[Any]) -> None:
    """Refuse plans too far beyond the rows, unless --beyond was given."""
    from analysis.inference.budgets.plans import REFUSED

    for plan in plans:
        reach = float(plan.prediction.beyond["compute"])
        if reach > REFUSED and not options.beyond:
            raise UserError(
                f"plan: the compute lies {reach:.3g} times outside the fitted rows, and no "
                f"interval is worth its name beyond {REFUSED:g}; train larger runs, or give "
                "--beyond"
            )


def _published(options: argparse.Namespace, name: str, constants: str) -> Answer:
    """The plans of published constants."""
    from analysis.inference.budgets.published import plan_published
    from scaling.laws import by_name

    rows_needed = ("size", "ratio", "inference_tokens", "to_loss", "iso_loss", "beyond")
    if idle := [name for name in rows_needed if getattr(options, name)]:
        raise UserError(
            f"plan of published constants: give rows to fit, or leave out "
            f"--{idle[0].replace('_', '-')}"
        )
    if options.plot is not None:
        raise UserError("--plot: draws rows with their law, and a plan of constants has no rows")
    refuse_idle(options, "plan of published constants: give rows to fit, or leave out")
    law = by_name(name)
    if not constants:
        known = ", ".join(f"{law.name}:{entry.name}" for entry in law.published)
        raise UserError(f"plan: give rows to fit, or constants with --law ({known})")
    published = law.constants(constants)
    plans = [plan_published(law, published, flops) for flops in options.flops]
    yield Line(
        "{law}:{constants}, {source}; {params_counted}",
        law=law.name,
        constants=constants,
        source=published.source,
        params_counted=published.convention.params,
    )
    if published.covariance is None:
        yield Note("no joint error of these constants is known, so there are no intervals")
    yield Note("the reach is not known: constants do not say how large the runs behind them were")
    yield _plans(plans)
    return 0


def _plans(plans: Sequence[Allocation | Plan], outside: Sequence[float] = ()) -> Rows:
    """A row for each plan, and how far outside the fitted compute it lies where that is known."""
    columns = ("params", "tokens", "tokens_per_param", "loss")
    head = ["C, FLOPs", "N*, parameters", "D*, tokens", "D/N", "loss"]
    rows: list[list[Any]] = [
        [float(plan.flops), *(Estimate.of(getattr(plan, name)) for name in columns)]
        for plan in plans
    ]
    if outside:
        head.append("C, times outside")
        rows = [[*row, factor] for row, factor in zip(rows, outside, strict=True)]
    return Rows("plans", head, rows, left=0, above="\n")
