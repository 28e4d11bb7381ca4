"""The table of a study's runs, with their forecast costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling.common.answers import AnswerPart, Line, Rows, Shown

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from experiments.sweep.cost import RunForecast
    from experiments.sweep.sweep import Sweep

HEAD = ("run", "part", "rung", "params_total", "tokens", "flops_6nd", "lr")
SHOWN = ("budget.tokens", "optimizer.learning_rate", "data.fingerprint")  # in other columns
COSTS = ("memory", "population", "time")


def run_table(
    sweep: Sweep, runs: Sequence[Run], costs: Mapping[str, RunForecast] | None = None
) -> Iterator[AnswerPart]:
    """A row for each run, then the sum of their FLOPs.

    Raises:
        DamagedError: a record cannot be read; nothing is printed before.
    """
    varied = varying(runs)
    head = (*HEAD, *varied, *(() if costs is None else COSTS), "status")
    rows = [
        [
            *_plan(run),
            *(str(values[number]) for values in varied.values()),
            *([] if costs is None else _cost(costs[run.run_id])),
            sweep.standing(run),
        ]
        for number, run in enumerate(runs)
    ]
    yield Rows("runs", head, rows, left=2)
    yield Line(
        "{count} runs, {flops_model:.3g} FLOPs (flops_model) in all",
        count=len(runs),
        flops_model=sum(run.flops for run in runs),
    )


def varying(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Labels and fields of the science that vary, by column.

    A column that another one decides is left out, as heads by the width.
    """
    from experiments.config.overrides import paths, value_of

    found = {"label": [run.label for run in runs]}
    for path in paths():
        if path not in SHOWN and not path.startswith("execution."):
            found[path] = [value_of(run.config, path) for run in runs]
    kept: dict[str, list[Any]] = {}
    for name, values in found.items():
        many = len(set(values))
        if many > 1 and not any(
            len(set(zip(one, values, strict=True))) == len(set(one)) for one in kept.values()
        ):
            kept[name] = values
    return {name.rpartition(".")[2]: values for name, values in kept.items()}


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


def _cost(cost: RunForecast) -> list[Any]:
    """The cells of a forecast: a population of "?" is not measured yet, a time of "-" unknown."""
    from rich import filesize

    from experiments.sweep.progress import clock

    return [
        Shown(cost.bytes, "-" if cost.bytes is None else filesize.decimal(cost.bytes)),
        Shown(cost.members, "?" if cost.members is None else str(cost.members)),
        Shown(cost.seconds, clock(math.nan if cost.seconds is None else cost.seconds)),
    ]
