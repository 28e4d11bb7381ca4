"""Predict the accuracy of an unrun size on every task, by each chain, with intervals.

Chains go from the size to the accuracy: direct sigmoid, task loss and sigmoid, log-probabilities of
right and wrong choices, clusters of items, and rates of passing of samples. Runs held out are in no
fit; those of the asked size are printed beside the prediction.

examples:
  windtunnel abilities runs/abilities --predict 600k
  windtunnel abilities runs/abilities --predict 600k --tasks addition,brackets --chain two_step
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

from scaling.common.answers import Answer, Estimate, Note, Rows
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.quantities import positive

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


def run(options: argparse.Namespace) -> Answer:
    """Fit every chain to the completed runs of the fit, and print its predictions."""
    from analysis.inference.abilities.answers import answers_of
    from analysis.inference.abilities.predict import OF_SAMPLES, chains, predict, steadiness
    from analysis.tables.study import load_study
    from experiments.record import load_items, reading_folder

    study = load_study(reading_folder(options.path))
    rows = load_items(study.folder, options.tasks)
    choices = rows[rows["kind"] == "choice"]
    tasks = sorted(map(str, choices["task"].unique()))
    if absent := set(options.tasks) - set(tasks):
        raise UserError(f"--tasks {sorted(absent)[0]}: the runs have answered {', '.join(tasks)}")
    fitted = {str(row["run_id"]): float(row[study.params]) for _, row in study.fit_runs.iterrows()}
    held = study.held_out_done
    new = {
        str(name): float(params)
        for name, params in zip(held["run_id"], held[study.params], strict=True)
        if _near(params, options)
    }
    same = [name for name, params in fitted.items() if _near(params, options)]
    wanted = (options.chain,) if options.chain else chains()
    found, steady = [], []
    for task in tasks:
        options.progress(f"{task}: {len(fitted)} runs")
        answers = answers_of(rows, fitted, task)
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
    yield Rows("predictions", ("task", "chain", "predicted", "measured"), found)
    yield Rows(
        "steadiness",
        ("task", "measure", "signal", "noise", "ratio", "decision", "rising", "rank"),
        steady,
        above="\n",
    )
    if same:
        yield Note(f"fitted on {len(same)} runs of the predicted size: no prediction, but a fit")
    if new:
        yield Note(_seal(study.folder, new))
    return 0


def _near(params: float, options: argparse.Namespace) -> bool:
    return abs(math.log(params / options.predict)) < NEAR


def _seal(folder: Path, names: Iterable[str]) -> str:
    """The prediction that stood before the held-out runs were trained, in words."""
    from experiments.record import RunSummary, read

    (digest, *_) = {read(folder / name, RunSummary).prediction_sha256 for name in names}
    if digest is None:
        return "the measured runs were trained before any prediction was sealed"
    return f"the measured runs were trained after prediction {digest[:12]} was sealed"
