"""Predict whole training curves at any size and batch, from the curves of small runs.

    L = (N_c/N)^alpha_N + [S_c (1 + B_crit(L)/B) / S]^alpha_S,    B_crit(L) = B_star / L^(1/alpha_B)

Reads the training losses of a study, or a table with a row per step. It takes several sizes, and at
one of them three batches or more. Rows of the warmup do not follow the law: leave them out.

  windtunnel trajectory runs/mine --warmup-steps 100 --size 1e7 --batch 65536 --steps 1e4
  windtunnel trajectory curves.csv --run-column name --batch 1e6 --size 1e9 --steps 1e4 \\
      --bootstrap 200 --plot curve.png
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.cli._format import estimates
from analysis.cli._plot import add_plot, plot
from analysis.cli._table_options import WHERE
from experiments.record import reading_folder
from scaling.common.answers import Answer, Estimate, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import not_negative, positive, positives, whole

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimators.trajectory import TrajectoryFit

COLUMNS = {
    "run": "run_id",
    "params": "params_nonembedding",
    "batch_tokens": "batch_tokens",
    "steps": "step",
    "loss": "loss",
}
HEAD = ("steps", "tokens", "loss", "critical batch, tokens")
REACHED = ("loss", "steps", "tokens")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", help="study folder, or a file with a row per step of each run")
    parser.add_argument("--size", type=positive, required=True, metavar="N", help="of the new run")
    parser.add_argument(
        "--batch", type=positive, required=True, metavar="TOKENS", help="of each step"
    )
    parser.add_argument(
        "--steps",
        type=positives,
        default=(),
        metavar="S,...",
        help="where to predict the loss",
    )
    parser.add_argument(
        "--to-loss",
        type=positives,
        default=(),
        metavar="L,...",
        help="losses to predict steps to",
    )
    parser.add_argument("--where", metavar="ROWS", help=WHERE)
    for name, column in COLUMNS.items():
        option = f"--{name.replace('_', '-')}-column"
        parser.add_argument(option, default=column, metavar="COLUMN", help=f"(default: {column})")
    parser.add_argument(
        "--warmup-steps", type=not_negative, default=0.0, metavar="S", help="left out"
    )
    parser.add_argument("--bootstrap", type=whole, default=0, metavar="R", help="resamples of runs")
    add_plot(parser, "the curves, the fit, and the predicted curve with its interval")


def run(options: argparse.Namespace) -> Answer:
    """Fit the curves and print the predicted one."""
    from analysis.estimators.trajectory import fit_trajectories
    from analysis.tables.query import where

    steps, targets = options.steps, options.to_loss
    if not steps and not targets:
        raise UserError("trajectory: give --steps S,... or --to-loss L,...")
    columns = {name: getattr(options, f"{name}_column") for name in COLUMNS}
    options.progress("reading the curves")
    curves = where(_curves(options), options.where)
    options.progress(f"fitting the curves with {options.bootstrap} resamples")
    found = fit_trajectories(
        curves, **columns, warmup_steps=options.warmup_steps, bootstrap=options.bootstrap
    )
    yield from map(Note, found.notes)
    rows = [[name, _constant(found, name)] for name in found.result.law.parameters]
    yield Rows("constants", ("constant", "value"), rows)
    asked = {"params": options.size, "batch_tokens": options.batch}
    yield Line("\nN = {params}, {batch_tokens} tokens a step", **asked)
    if steps:
        yield Rows("losses", HEAD, _losses(found, steps, asked), left=0)
    if targets:
        yield Rows("reached", REACHED, _reached(found, targets, asked), left=0)
    floor = found.minimum_loss(params=options.size)
    ends = Estimate.of((floor.value, floor.low, floor.high))
    yield Line("never below {minimum_loss} at this size", minimum_loss=ends)
    yield from plot(options, lambda: draw(found, options.size, options.batch, steps))
    return 0


def _losses(
    found: TrajectoryFit, steps: Sequence[float], asked: Mapping[str, float]
) -> list[tuple[Any, ...]]:
    """Loss and critical batch at each number of steps."""
    loss = found.loss(steps=steps, **asked)
    tokens = [step * asked["batch_tokens"] for step in steps]
    critical = found.critical_batch(loss.value)
    return list(zip(steps, tokens, estimates(loss), estimates(critical), strict=True))


def _reached(
    found: TrajectoryFit, losses: Sequence[float], asked: Mapping[str, float]
) -> list[tuple[Any, ...]]:
    """Steps and tokens to each loss; inf where the size never reaches it."""
    steps, tokens = found.steps_to(losses, **asked), found.tokens_to(losses, **asked)
    return list(zip(losses, estimates(steps), estimates(tokens), strict=True))


def _curves(options: argparse.Namespace) -> pd.DataFrame:
    from analysis.estimators.trajectory import load_trajectories
    from analysis.tables.files import read_table

    here = reading_folder(options.path)
    return load_trajectories(here) if here.is_dir() else read_table(here, (options.run_column,))


def _constant(found: TrajectoryFit, name: str) -> Estimate:
    ends = found.interval(name) if found.result.has_intervals else ()
    return Estimate(found.result.params[name], *ends)


def draw(found: TrajectoryFit, size: float, batch: float, steps: Sequence[float]) -> Any:
    """Loss against steps: the curves and the law on each, and the predicted run with its band."""
    import numpy as np

    from analysis.plotting import style
    from scaling.laws.kaplan import loss_at_batch

    constants = found.result.estimates
    rows = found.result.points.rows.round({"params": 0})  # means of logs miss by a rounding error
    sizes = sorted(rows["params"].unique())
    with style.house_style():
        figure, axes = style.canvas()
        for _, curve in rows.groupby("run"):
            params, tokens = curve["params"].iloc[0], curve["batch_tokens"].iloc[0]
            look = style.rung_style(sizes.index(params), len(sizes))
            axes.plot(curve["steps"], curve["measured"], linestyle="none", markersize=3, **look)
            law = loss_at_batch(constants, params, tokens, curve["steps"].to_numpy())
            axes.plot(curve["steps"], law, color=style.MUTED, linewidth=0.7)
        span = np.geomspace(rows["steps"].min(), max(rows["steps"].max(), *steps), 60)
        new = found.loss(params=size, batch_tokens=batch, steps=span)
        axes.fill_between(span, new.low, new.high, color=style.HELD, alpha=0.2, lw=0)
        axes.plot(span, new.value, color=style.HELD, linestyle="--", label="predicted")
        for at, params in enumerate(sizes):
            look = style.rung_style(at, len(sizes))
            axes.plot([], [], linestyle="none", label=f"N = {style.quantity(params)}", **look)
        axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="training loss, nats/token")
        style.log_ticks(axes.yaxis, *axes.get_ylim())
        figure.legend(loc="outside upper center", ncols=3)
        return figure
