"""The table of a study's runs, with their forecast costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.common.answers import AnswerPart, Line, Rows, Shown

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from experiments.sweep.cost import RunForecast
    from experiments.sweep.sweep import Standing, Sweep

HEAD = ("run", "part", "rung", "params_total", "tokens", "flops_6nd", "lr")
SHOWN = ("budget.tokens", "optimizer.learning_rate")  # in other columns
COSTS = ("memory", "population", "time")
OUTCOMES = ("done", "train_loss", "valid_loss")
LOSSES = ("loss", "valid_loss")  # of a row of the record


def run_table(
    sweep: Sweep,
    runs: Sequence[Run],
    standings: Mapping[str, Standing],
    costs: Mapping[str, RunForecast] | None = None,
) -> Iterator[AnswerPart]:
    """A row for each run, then the sum of their FLOPs.

    Before its status stand its costs where they are forecast, or else its outcome: the share of its
    steps that are done, and its last losses.
    """
    from experiments.plan.varying import varying

    varied = varying(runs, SHOWN)
    head = (*HEAD, *varied, *(OUTCOMES if costs is None else COSTS), "status")
    rows = [
        [
            *_plan(run),
            *(Shown(values[number], str(values[number])) for values in varied.values()),
            *(_outcome(sweep, run) if costs is None else _cost(costs[run.run_id])),
            standings[run.run_id],
        ]
        for number, run in enumerate(runs)
    ]
    yield Rows("runs", head, rows, left=2)
    yield Line(
        "{count} runs, {flops_model:.3g} FLOPs (flops_model) in all",
        count=len(runs),
        flops_model=sum(run.flops for run in runs),
    )


def _plan(run: Run) -> list[Any]:
    entry = run.ledger
    return [
        run.run_id,
        run.part,
        run.rung,
        Shown.of(entry["params_total"], ",.0f"),
        Shown.of(entry["tokens"], ",.0f"),
        Shown.of(entry["flops_6nd"], ".3g"),
        Shown.of(run.config.science.optimizer.learning_rate, ".3g"),
    ]


def _outcome(sweep: Sweep, run: Run) -> list[Any]:
    """The cells of `OUTCOMES`, from the newest rows that hold them."""
    from experiments.record import METRICS, newest_rows

    done, losses = None, dict[str, float | None]()
    for row in newest_rows(sweep.folder / run.run_id / METRICS):
        done = row.step / max(1, run.config.science.steps) if done is None else done
        losses = {**row.metrics, **losses}
        if losses.keys() >= set(LOSSES):
            break
    cells = [Shown(done, "-" if done is None else f"{done:.0%}")]
    found = [losses.get(name) for name in LOSSES]
    return cells + [Shown(loss, "-" if loss is None else f"{loss:.4f}") for loss in found]


def _cost(cost: RunForecast) -> list[Any]:
    """The cells of a forecast: a population of "?" is not measured yet, a time of "-" unknown."""
    from rich import filesize

    from experiments.sweep.progress import clock

    return [
        Shown(cost.bytes, "-" if cost.bytes is None else filesize.decimal(cost.bytes)),
        Shown(cost.members, "?" if cost.members is None else str(cost.members)),
        Shown(cost.seconds, clock(math.nan if cost.seconds is None else cost.seconds)),
    ]
