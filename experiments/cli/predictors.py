"""Score runs before they train.

The scores are GradSign (arXiv:2110.08616), the gradient's norm and the loss of a run's first
windows at its start, beside its parameters and FLOPs. Once runs have ended, each score has
Kendall's and Spearman's correlation with their validation losses, rung by rung. Below 0, a
greater score goes with a lower loss.

examples:
  windtunnel predictors zero_cost
  windtunnel predictors families --windows 128
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from scaling.common.answers import Answer, AnswerPart, Note, Rows, Shown
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.quantities import count

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from numpy.typing import NDArray

    from experiments.evaluation.predictors import Predictors
    from experiments.plan.run import Run
    from experiments.plan.study import Study
    from experiments.sweep.sweep import Sweep
    from experiments.training.hypers import Hypers
    from experiments.training.step import Recipe

SCORES = ("gradsign", "gradient_norm", "initial_loss", "params_total", "flops_model", "first_loss")
LEAST = 3  # finished runs of a correlation


def add(parser: Parser) -> None:
    common.add_file(parser)
    parser.add_argument("--windows", type=count, default=64, help="samples of a score (default 64)")


def run(options: argparse.Namespace) -> Answer:
    from experiments import studies

    study = studies.load(options.study, options.assignments)
    _check(study)
    sweep = common.bind(options, study=study)
    runs, rows = sweep.study.runs, []
    for done, each in enumerate(runs):
        options.progress(f"{each.label or each.run_id}: scores", done, len(runs))
        rows.append((*_scores(sweep, each, options.windows), *_outcome(sweep, each)))
    yield Rows(
        "scores",
        ("run", "label", "rung", *SCORES, "loss"),
        [
            (each.run_id, each.label, each.rung, *map(_number, row))
            for each, row in zip(runs, rows, strict=True)
        ],
        left=2,
    )
    yield from _correlations(runs, rows)
    return 0


def _check(study: Study) -> None:
    """Raise a `UserError` where a run has no start of its own, or losses are of several texts."""
    from experiments.config.data import parts
    from experiments.plan.run import Derived

    for each in study.runs:
        if isinstance(each.beginning, Derived):
            raise UserError(
                f"run {each.run_id} begins from the parameters of other runs, not at a start that "
                "can be scored; name a study of fresh runs"
            )
    texts = {
        (tuple(part.corpus for part in parts(science.data)), science.batch.seq_len)
        for science in (each.config.science for each in study.runs)
    }
    if len(texts) > 1:
        raise UserError(
            f"study {study.name}: {len(texts)} pairs of texts and batch.seq_len, whose losses "
            "are not comparable; choose one with --set"
        )


def _scores(sweep: Sweep, run: Run, windows: int) -> tuple[float, ...]:
    """The values of `SCORES` but for the last, on one device."""
    import jax
    import numpy as np

    from experiments import data
    from experiments.config.run import Execution, RunConfig
    from experiments.training.hypers import hypers
    from experiments.training.step import recipe

    science = run.config.science
    made = recipe(RunConfig(science, Execution()), platform=jax.default_backend(), devices=1)
    (batch,) = next(
        data.chunks(
            sweep.corpora.mixture(science.data).train,
            seed=science.seed,
            sequences=windows,
            seq_len=science.batch.seq_len,
            start_step=0,
            stop_step=1,
            steps_per_chunk=1,
        )
    )
    found = _program()(made, hypers(science), np.asarray(batch))
    return (*map(float, found), run.ledger["params_total"], run.flops)


@cache
def _program() -> Callable[[Recipe, Hypers, NDArray[np.int32]], Predictors]:
    """The scores of a recipe with its numbers; runs of one recipe are compiled once."""
    import jax

    from experiments.evaluation.predictors import predictors
    from experiments.training.populations.programs import QUICK_COMPILE
    from experiments.training.step import init_state, seen

    def scores(recipe: Recipe, hypers: Hypers, windows: Array) -> Predictors:
        with recipe.products:
            return predictors(recipe.spec, seen(recipe, init_state(recipe, hypers).params), windows)

    options = QUICK_COMPILE[jax.default_backend()]
    return jax.jit(scores, static_argnums=0, compiler_options=options)


def _outcome(sweep: Sweep, run: Run) -> tuple[float | None, float | None]:
    """The training loss of the first row of a completed run, and its validation loss.

    None of a run that has not completed.
    """
    from experiments import record

    if sweep.status(run) is not record.Status.COMPLETED:
        return None, None
    folder = sweep.folder / run.run_id
    first = next(
        row.loss for row in record.read_rows(folder / record.METRICS) if row.loss == row.loss
    )
    return first, record.read(folder, record.RunSummary).metrics.loss


def _correlations(
    runs: Sequence[Run], rows: Sequence[tuple[float | None, ...]]
) -> Iterator[AnswerPart]:
    from scaling.ranks import kendall_interval, spearman_interval

    found, budgets = [], set[int]()
    for rung in sorted({run.rung for run in runs}):
        ended = [
            (run, row)
            for run, row in zip(runs, rows, strict=True)
            if run.rung == rung and row[-1] is not None
        ]
        if len(ended) < LEAST:
            continue
        if len({run.config.science.tokens for run, _ in ended}) > 1:
            budgets.add(rung)
        *scores, losses = zip(*(row for _, row in ended), strict=True)
        found += [
            (
                name,
                rung,
                len(ended),
                kendall_interval(score, losses),
                spearman_interval(score, losses),
            )
            for name, score in zip(SCORES, scores, strict=True)
        ]
    if not found:
        yield Note(f"no rung has {LEAST} completed runs yet: no correlations")
        return
    yield Rows("correlations", ("score", "rung", "runs", "kendall", "spearman"), found, above="\n")
    yield Note("first_loss is the training loss of a run's first row, so it has cost training")
    for rung in sorted(budgets):
        yield Note(f"rung {rung} has runs of several budgets, which move the loss too")


def _number(value: float | None) -> Shown:
    return Shown(value, "-" if value is None else f"{value:.4g}")
