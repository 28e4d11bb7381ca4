"""Train the missing runs of a study; the same command continues an interrupted one.

example:
  windtunnel run quickstart --set seed=1 --out runs/seed1
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from experiments.cli._run_table import run_table
from experiments.record import AGAIN, FINISHED, STUDY, Status, StudyPart
from scaling.common.answers import Answer, Line, Shown, Whole, add_json, deliver
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.files import output_folder
from scaling.common.remote import check_local

if TYPE_CHECKING:
    from experiments.launchers import Launcher
    from experiments.sweep.sweep import Sweep

BRING = "runs are trained on this machine; bring them by `windtunnel copy URL FOLDER`, then run it"


def add(parser: Parser) -> None:
    common.add_file(parser)
    parser.add_argument(
        "--part",
        type=StudyPart,
        choices=list(StudyPart),
        default=StudyPart.FIT,
        help="the runs to fit (default), the held-out ones, once a prediction is written, or the "
        "trunks; a run's origin is trained before it",
    )
    common.add_launcher(parser)
    parser.add_argument(
        "--tracker",
        dest="trackers",
        metavar="NAME",
        action="append",
        default=[],
        help="mirror the records meanwhile: tensorboard, wandb or mlflow; may be given again",
    )
    add_json(parser)
    parser.add_argument("--dry-run", action="store_true", help="print every run, train none")
    parser.add_argument(
        "--plan",
        action="store_true",
        help="with --dry-run: write study.json, which `windtunnel simulate` reads",
    )


def run(options: argparse.Namespace) -> int:
    from experiments import launchers

    check_local("study", options.study, BRING)
    launcher = launchers.chosen(options)
    return launcher.carry_out(lambda: deliver(_run(options, launcher), options.json))


def _run(options: argparse.Namespace, launcher: Launcher) -> Answer:
    from experiments import studies, trackers
    from experiments.sweep.sweep import write_plan
    from experiments.sweep.under_way import under_way

    if options.plan and not options.dry_run:
        raise UserError("--plan: goes with --dry-run; a sweep writes its plan itself")
    for name in options.trackers:
        trackers.load(name)
    if options.dry_run:
        options.progress("binding the study and its corpus")
        sweep = common.bind(options, lambda text: options.progress(text.partition("\n")[0]))
        code = yield from _dry_run(sweep, launcher)
        if options.plan:
            write_plan(sweep)
            yield Line("wrote the plan, {plan}", plan=str(sweep.folder / STUDY))
        return code
    options.progress.stop()  # the corpus and the sweep tell their own
    study = studies.load(options.study, options.assignments)
    with under_way(output_folder(common.folder(options, study)), options.cache):
        return (yield from _train(common.bind(options, common.on_stderr, study), options, launcher))


def _train(sweep: Sweep, options: argparse.Namespace, launcher: Launcher) -> Answer:
    from experiments.sweep.preflight import fewer_windows
    from experiments.sweep.progress import Progress
    from experiments.sweep.sweep import ready, train
    from experiments.trackers import _mirror as mirrors

    runs = sweep.runs(options.part)
    if not runs:
        raise UserError(f"--part {options.part}: the study '{sweep.study.name}' has no such runs")
    finished = [run.run_id for run in runs if sweep.status(run) in FINISHED]
    yield Line(
        "{study}: {runs} runs, {finished} finished, into {folder}",
        study=sweep.study.name,
        runs=len(runs),
        finished=len(finished),
        folder=str(sweep.folder),
    )
    yield from common.facts(sweep.study)
    for text in fewer_windows(runs, sweep.corpora):
        yield Line("note: {note}", "notes", note=text)
    sys.stdout.flush()
    jobs = ready(sweep, options.part, launcher)  # before mirrors look into the folder
    with mirrors.beside(sweep.folder, options.trackers), Progress(runs, finished) as progress:
        train(sweep, jobs, launcher, progress)
    counts = Counter(sweep.status(run) for run in runs)
    by_status = {str(status): counts[status] for status in Status if counts[status]}
    said = ", ".join(f"{count} {status}" for status, count in by_status.items())
    yield Line("{statuses}", statuses=Shown(by_status, said))
    if all(status in FINISHED for status in counts):
        return 0
    for text in filter(None, (sweep.failure(run) or sweep.closed(run) for run in runs)):
        yield Line("{failure}", "failures", failure=text)
    yield Line("{left}", left="not finished: the same command continues from the last checkpoints")
    return AGAIN


def _dry_run(sweep: Sweep, launcher: Launcher) -> Answer:
    from experiments.sweep.cost import forecast
    from experiments.sweep.preflight import (
        check_budgets,
        check_programs,
        check_tasks,
        fewer_windows,
    )
    from experiments.sweep.progress import clock

    question, corpora = sweep.study.question, sweep.corpora.describe()
    yield Line("{question}\n{corpora}\n", question=question, corpora=corpora)
    runs = sweep.study.runs
    check_programs(runs, launcher.platform)
    check_tasks(runs, sweep.corpora)
    costs = forecast(runs, sweep.study.name, launcher, sweep.site)
    standings = sweep.standings()
    yield from run_table(sweep, runs, standings, costs)
    left = [costs[run.run_id].seconds for run in runs if not standings[run.run_id].is_finished]
    timed = [seconds for seconds in left if seconds is not None]
    yield from common.facts(sweep.study)
    for text in fewer_windows(runs, sweep.corpora):
        yield Line("note: {note}", "notes", note=text)
    try:
        check_budgets(runs, sweep.corpora)
    except UserError as error:  # a plan may wait for its corpus
        yield Line("not to be trained yet: {obstacle}", obstacle=str(error))
    yield Whole({}, "memory: of one device, for the whole population; time: of one worker")
    if timed:
        seconds = Shown(sum(timed), clock(sum(timed)))
        said = "left: {seconds_left} over {workers} workers"
        yield Line(said, seconds_left=seconds, workers=launcher.places)
    if len(timed) < len(left):
        said = "{untimed} runs are like none that was timed here yet"
        yield Line(said, untimed=len(left) - len(timed))
    return 0
