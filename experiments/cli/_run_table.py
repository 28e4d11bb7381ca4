"""The table of a study's runs, with their forecast costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scaling.common.tables import table

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from experiments.sweep.cost import RunForecast
    from experiments.sweep.sweep import Sweep

HEAD = ("run", "part", "rung", "params_total", "tokens", "flops_6nd", "lr")
COSTS = ("memory", "population", "time")


def print_runs(
    sweep: Sweep, runs: Sequence[Run], costs: Mapping[str, RunForecast] | None = None
) -> None:
    """A line per run, then the sum of their FLOPs.

    Raises:
        DamagedError: a record cannot be read; nothing is printed before.
    """
    head = (*HEAD, *(() if costs is None else COSTS), "status")
    rows = [
        [
            *_plan(run),
            *([] if costs is None else _cost(costs[run.run_id])),
            sweep.standing(run),
        ]
        for run in runs
    ]
    print(table(head, rows, left=2))
    total = sum(run.flops for run in runs)
    print(f"{len(runs)} runs, {total:.3g} FLOPs (flops_model) in all")


def _plan(run: Run) -> list[str]:
    entry = run.ledger
    return [
        run.run_id,
        run.part,
        str(run.rung),
        f"{entry['params_total']:,.0f}",
        f"{entry['tokens']:,.0f}",
        f"{entry['flops_6nd']:.3g}",
        f"{run.config.science.optimizer.learning_rate:.3g}",
    ]


def _cost(cost: RunForecast) -> list[str]:
    """The cells of a forecast: a population of "?" is not measured yet, a time of "-" unknown."""
    from rich import filesize

    from experiments.sweep.progress import clock

    return [
        "-" if cost.bytes is None else filesize.decimal(cost.bytes),
        "?" if cost.members is None else str(cost.members),
        clock(math.nan if cost.seconds is None else cost.seconds),
    ]
