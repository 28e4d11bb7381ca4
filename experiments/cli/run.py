"""Train the missing runs of a study; the same command continues an interrupted one.

example:
  python -m experiments run quickstart --set seed=1 --out runs/seed1
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from experiments.cli._run_table import print_runs
from experiments.record import AGAIN, FINISHED, Part, Status
from scaling.common.command_line import Parser
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from experiments.launchers import Launcher
    from experiments.sweep.sweep import Sweep


def add(parser: Parser) -> None:
    common.add_file(parser)
    parser.add_argument(
        "--part",
        type=Part,
        choices=list(Part),
        default=Part.FIT,
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
    parser.add_argument("--dry-run", action="store_true", help="print every run, train none")


def run(options: argparse.Namespace) -> int:
    from experiments import launchers

    launcher = launchers.chosen(options)
    return launcher.carry_out(partial(_run, options, launcher))


def _run(options: argparse.Namespace, launcher: Launcher) -> int:
    from experiments import trackers
    from experiments.sweep.preflight import check_folder
    from experiments.sweep.progress import Progress
    from experiments.sweep.sweep import run_sweep
    from experiments.trackers import _mirror as mirrors

    for name in options.trackers:
        trackers.load(name)
    if options.dry_run:
        return _dry_run(common.bind(options), launcher)
    sweep = common.bind(options, common.on_stderr)
    runs = sweep.runs(options.part)
    if not runs:
        raise UserError(f"--part {options.part}: the study '{sweep.study.name}' has no such runs")
    finished = [run.run_id for run in runs if sweep.status(run) in FINISHED]
    print(f"{sweep.study.name}: {len(runs)} runs, {len(finished)} finished, into {sweep.folder}")
    common.say_laws(sweep.study)
    sys.stdout.flush()
    check_folder(sweep.folder, sweep.study, ())  # before mirrors look into it
    with mirrors.beside(sweep.folder, options.trackers), Progress(runs, finished) as progress:
        run_sweep(sweep, options.part, launcher, progress)
    counts = Counter(sweep.status(run) for run in runs)
    print(", ".join(f"{counts[status]} {status}" for status in Status if counts[status]))
    if all(status in FINISHED for status in counts):
        return 0
    why = [sweep.failure(run) for run in runs if sweep.status(run) is Status.FAILED]
    print(*why, "not finished: the same command continues from the last checkpoints", sep="\n")
    return AGAIN


def _dry_run(sweep: Sweep, launcher: Launcher) -> int:
    from experiments.sweep.cost import forecast
    from experiments.sweep.preflight import check_programs, narrower_than_base
    from experiments.sweep.progress import clock

    print(f"{sweep.study.question}\n{sweep.corpora.describe()}\n")
    runs = sweep.study.runs
    check_programs(runs, launcher.platform)
    costs = forecast(runs, sweep.study.name, launcher, sweep.site)
    print_runs(sweep, runs, costs)
    left = [costs[run.run_id].seconds for run in runs if sweep.status(run) not in FINISHED]
    timed = [seconds for seconds in left if seconds is not None]
    common.say_laws(sweep.study)
    for text in narrower_than_base(runs):
        print(text)
    print("memory: of one device, for the whole population; time: of one worker")
    if timed:
        print(f"left: {clock(sum(timed))} over {launcher.places} workers")
    if len(timed) < len(left):
        print(f"{len(left) - len(timed)} runs are like none that was timed here yet")
    return 0
