"""Predict the accuracy of an unrun size on every task, by each chain, with intervals.

Chains go from the size to the accuracy: direct sigmoid, task loss and sigmoid, log-probabilities of
right and wrong choices, clusters of items, and rates of passing of samples. Runs held out are in no
fit; those of the asked size are printed beside the prediction. They, and the runs of --density,
have a density: the size that the fitted runs need for their accuracy, over their own. Further
tables: how each measure breaks over the sizes, how sure the models are, how alike their curves are
where several checkpoints have answered, and of samples, pass@k and the cheapest way to --pass-rate.

examples:
  windtunnel abilities runs/abilities --predict 600k
  windtunnel abilities runs/abilities --predict 600k --tasks addition,brackets --chain two_step
  windtunnel abilities runs/abilities --predict 600k --density runs/other
  windtunnel abilities runs/abilities --predict 600k --pass-rate 0.5 --questions 1e6
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.common.answers import Answer, Estimate, Note, Rows
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.quantities import positive, share

if TYPE_CHECKING:
    import pandas as pd

NEAR = 0.05  # of the log of a size: runs that measure the asked one


def add(parser: Parser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", help="the folder of a study whose runs have answered items")
    parser.add_argument("--predict", type=positive, required=True, metavar="N", help="parameters")
    parser.add_argument(
        "--tasks",
        type=lambda text: tuple(filter(None, text.split(","))),
        default=(),
        metavar="NAME,...",
        help="of the tasks that the runs have answered (default: all)",
    )
    parser.add_argument("--chain", metavar="NAME", help="one chain (default: every chain)")
    parser.add_argument(
        "--density", metavar="PATH", help="a folder of runs that answered the same items"
    )
    parser.add_argument("--pass-rate", type=share, metavar="RATE", help="of answers to be passed")
    parser.add_argument(
        "--questions", type=positive, default=1e6, help="asked of the model (default: 1e6)"
    )
    parser.add_argument(
        "--sample-tokens", type=positive, default=16.0, help="of a sample (default: 16)"
    )
    parser.add_argument(
        "--tokens-per-param", type=positive, default=20.0, help="of its training (default: 20)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Fit every chain to the completed runs of the fit, and print its predictions."""
    import pandas as pd

    from analysis.cli._ability_tables import samples, shapes
    from analysis.inference.abilities.answers import answers_of
    from analysis.inference.abilities.densing import densities
    from analysis.inference.abilities.predict import OF_SAMPLES, chains, predict, steadiness
    from analysis.tables.study import load_study
    from experiments.record import load_items, reading_folder

    study = load_study(reading_folder(options.path))
    rows = load_items(study.folder, options.tasks)
    choices = rows[rows["kind"] == "choice"]
    tasks = sorted(map(str, choices["task"].unique()))
    if absent := set(options.tasks) - set(tasks):
        raise UserError(f"--tasks {sorted(absent)[0]}: the runs have answered {', '.join(tasks)}")
    fitted = _sizes(study.fit_runs, study.params)
    held = _sizes(study.held_out_done, study.params)
    new = {name: params for name, params in held.items() if _near(params, options)}
    same = [name for name, params in fitted.items() if _near(params, options)]
    others = dict(new)
    if options.density:
        other = load_study(reading_folder(options.density))
        for part in (other.fit_runs, other.held_out_done):
            others |= _sizes(part, other.params)
        rows = pd.concat([rows, load_items(other.folder, tasks)])
    wanted = (options.chain,) if options.chain else chains()
    found, steady, dense, every_task = [], [], [], []
    for task in tasks:
        options.progress(f"{task}: {len(fitted)} runs")
        answers = answers_of(rows, fitted, task)
        every_task.append(answers)
        measured = float(answers_of(rows, new, task).hits.mean()) if new else math.nan
        for chain in wanted:
            said = predict(answers, options.predict, chain)
            if said.refused:
                yield Note(f"{task} by {chain}: {said.refused}")
                continue
            beside = math.nan if chain == OF_SAMPLES else measured
            found.append([task, chain, Estimate(said.value, said.low, said.high), beside])
        steady += [
            [task, s.measure, s.signal, s.noise, s.ratio, s.decision, s.monotone, s.rank]
            for s in steadiness(answers)
        ]
        if others:
            try:
                every = answers_of(rows, {**fitted, **others}, task)
                dense += [
                    [task, each.run, each.params, Estimate(each.value, each.low, each.high)]
                    for each in densities(every, tuple(fitted))
                ]
            except UserError as error:
                yield Note(f"density on {task}: {error}")
    yield Rows("predictions", ("task", "chain", "predicted", "measured"), found)
    yield Rows(
        "steadiness",
        ("task", "measure", "signal", "noise", "ratio", "decision", "rising", "rank"),
        steady,
        above="\n",
    )
    yield from shapes(every_task, rows, fitted)
    yield from samples(
        every_task, options.predict, options.pass_rate, options.tokens_per_param,
        options.sample_tokens, options.questions,
    )  # fmt: skip
    if dense:
        yield Rows("densities", ("task", "run", "params", "density"), dense, above="\n")
    if same:
        yield Note(f"fitted on {len(same)} runs of the predicted size: no prediction, but a fit")
    if new:
        yield Note(_seal(study.folder, new))
    return 0


def _sizes(runs: pd.DataFrame, column: str) -> dict[str, float]:
    """The parameters of each run."""
    return dict(zip(map(str, runs["run_id"]), map(float, runs[column]), strict=True))


def _near(params: float, options: argparse.Namespace) -> bool:
    return abs(math.log(params / options.predict)) < NEAR


def _seal(folder: Path, names: Iterable[str]) -> str:
    """The prediction that stood before the held-out runs were trained, in words."""
    from experiments.record import RunSummary, read

    (digest, *_) = {read(folder / name, RunSummary).prediction_sha256 for name in names}
    if digest is None:
        return "the measured runs were trained before any prediction was sealed"
    return f"the measured runs were trained after prediction {digest[:12]} was sealed"
