"""What each verb of ``python -m experiments`` does."""

from __future__ import annotations

import argparse
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich import filesize

from experiments import launchers, trackers
from experiments.cli.search import search
from experiments.config.diff import differences
from experiments.config.from_record import read_config
from experiments.config.overrides import override
from experiments.launchers import Launcher
from experiments.plan import law_settings
from experiments.plan import study as studies
from experiments.plan.study import Run, Study
from experiments.record import AGAIN, FINISHED, Status
from experiments.sweep.cost import Cost, forecast
from experiments.sweep.preflight import (
    check_folder,
    check_programs,
    check_vocabulary,
    narrower_than_base,
)
from experiments.sweep.progress import Progress, clock
from experiments.sweep.sweep import Sweep, bind, run_sweep
from experiments.trackers import _mirror as mirrors
from scaling.common.errors import UserError

COORDINATES = "coordinates.csv"  # in the study's folder
PICTURES = (".png", ".svg", ".pdf")
DIFFERENT = 1  # exit code of diff, as of the shell's


def _bind(args: argparse.Namespace, tell: Callable[[str], None] = lambda text: None) -> Sweep:
    study = studies.load(args.study, args.assignments)
    return bind(study, args.out or Path("runs") / study.name, args.cache, tell)


def run(args: argparse.Namespace) -> int:
    launcher = launchers.chosen(args)
    return launchers.carry_out(launcher, partial(_run, args, launcher))


def _run(args: argparse.Namespace, launcher: Launcher) -> int:
    for name in args.trackers:
        trackers.load(name)
    if args.dry_run:
        return _dry_run(_bind(args), launcher)
    sweep = _bind(args, lambda text: print(text, file=sys.stderr))
    runs = sweep.runs(args.part)
    if not runs:
        raise UserError(f"--part {args.part}: the study '{sweep.study.name}' has no such runs")
    finished = [run.run_id for run in runs if sweep.status(run) in FINISHED]
    print(f"{sweep.study.name}: {len(runs)} runs, {len(finished)} finished, into {sweep.folder}")
    _say_laws(sweep.study)
    sys.stdout.flush()
    check_folder(sweep.folder, sweep.study, ())  # before mirrors look into it
    with mirrors.beside(sweep.folder, args.trackers), Progress(runs, finished) as progress:
        run_sweep(sweep, args.part, launcher, progress)
    counts = Counter(sweep.status(run) for run in runs)
    print(", ".join(f"{counts[status]} {status}" for status in Status if counts[status]))
    if all(status in FINISHED for status in counts):
        return 0
    why = [sweep.failure(run) for run in runs if sweep.status(run) is Status.FAILED]
    print(*why, "not finished: the same command goes on from the last checkpoints", sep="\n")
    return AGAIN


def _say_laws(study: Study) -> None:
    for line in law_settings.summary(study.runs):
        print(line)


def mirror(args: argparse.Namespace) -> int:
    looks = mirrors.forever() if args.follow else (None,)
    sent = mirrors.mirror(args.folder, args.tracker, looks)
    print(f"{args.tracker}: {sent} points sent")
    return 0


def _dry_run(sweep: Sweep, launcher: Launcher) -> int:
    print(f"{sweep.study.question}\n{sweep.corpus.describe()}\n")
    runs = sweep.study.runs
    check_programs(runs, launcher.platform)
    costs = forecast(runs, sweep.study.name, launcher, sweep.site)
    _table(sweep, runs, costs)
    left = [costs[run.run_id].seconds for run in runs if sweep.status(run) not in FINISHED]
    timed = [seconds for seconds in left if seconds is not None]
    _say_laws(sweep.study)
    for text in narrower_than_base(runs):
        print(text)
    print("memory: of one device, for a pack of so many runs; time: of one worker")
    if timed:
        print(f"left: {clock(sum(timed))} over {launcher.places} workers")
    if len(timed) < len(left):
        print(f"{len(left) - len(timed)} runs are like none that was timed here yet")
    return 0


def status(args: argparse.Namespace) -> int:
    sweep = _bind(args)
    _table(sweep, sweep.study.runs)
    return 0


def _table(sweep: Sweep, runs: Sequence[Run], costs: Mapping[str, Cost] | None = None) -> None:
    """A line per run, and what it costs where that is asked for."""
    standings = [sweep.standing(run) for run in runs]
    head = f"{'run':12}  {'part':8} {'rung':>4} {'params_total':>13} {'tokens':>14}"
    more = "" if costs is None else f" {'memory':>8} {'pack':>4} {'time':>7}"
    print(f"{head} {'flops_6nd':>10} {'lr':>9}{more}  status")
    for run, standing in zip(runs, standings, strict=True):
        entry, science = run.ledger, run.config.science
        print(
            f"{run.run_id:12}  {run.part:8} {run.rung:>4} {entry['params_total']:>13,.0f} "
            f"{entry['tokens']:>14,.0f} {entry['flops_6nd']:>10.3g} "
            f"{science.optimizer.learning_rate:>9.3g}"
            f"{'' if costs is None else _cells(costs[run.run_id])}  {standing}"
        )
    total = sum(run.flops for run in runs)
    print(f"{len(runs)} runs, {total:.3g} FLOPs (flops_model) in all")


def _cells(cost: Cost) -> str:
    """A pack of "?" is told once the device has been measured, a time of "-" is unknown."""
    members = "?" if cost.members is None else cost.members
    seconds = math.nan if cost.seconds is None else cost.seconds
    size = "-" if cost.bytes is None else filesize.decimal(cost.bytes)
    return f" {size:>8} {members:>4} {clock(seconds):>7}"


def list_files(args: argparse.Namespace) -> int:
    from experiments.search.plan import SEARCHES

    for verb, shelf in (("run", studies.STUDIES), ("search", SEARCHES)):
        for name in studies.names(shelf):
            headline, _, _ = (inspect.getdoc(studies.module(name, shelf)) or "").partition("\n")
            print(f"{name:16} {verb:8} {headline}")
    return 0


def schedules(args: argparse.Namespace) -> int:
    from experiments.cli.schedules import figure

    if args.out.suffix not in PICTURES:
        raise UserError(f"--out {args.out}: no picture; end it with one of {', '.join(PICTURES)}")
    try:
        figure().savefig(args.out, dpi=150)
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot write it ({error.strerror})") from error
    print(args.out)
    return 0


def describe(args: argparse.Namespace) -> int:
    from experiments.training.step import recipe
    from models.layout import sharding

    run = _described(args)
    science = run.config.science
    plan = recipe(run.config, platform="cpu")
    print(f"{science.model}\n{science.parametrization}\n")
    head = f"{'parameter':28} {'role':10} {'shape':16} {'params':>10} {'init std':>9} {'mult':>7}"
    print(f"{head} {'lr factor':>9} {'lr':>9} {'wd':>8} {'eps':>9}  letters sharding")
    o = science.optimizer
    for weight in plan.table:
        rule = science.parametrization.rule(weight, science.model, o.kind.family_of(weight.role))
        coupled = o.decay == "coupled"
        decays = rule.weight_decay if coupled else float(rule.weight_decay > 0)
        name = (
            weight.path
            if weight.layer is None
            else weight.path.replace("/", f"[{weight.layer}]/", 1)
        )
        print(
            f"{name:28} {weight.role:10} {weight.shape!s:16} {weight.size:>10,} "
            f"{science.init_scale * rule.init_std:>9.4g} {rule.multiplier:>7.4g} "
            f"{rule.learning_rate:>9.4g} {o.learning_rate * rule.learning_rate:>9.3g} "
            f"{o.weight_decay * decays:>8.3g} {o.epsilon * rule.epsilon:>9.2g}  "
            f"{weight.letters:7} {sharding(plan.spec.layout, weight)}"
        )
    print()
    for name, value in run.ledger.items():
        print(f"{name:24} {value:>16,.0f}" if value < 1e12 else f"{name:24} {value:>16.4g}")
    return 0


def _described(args: argparse.Namespace) -> Run:
    """The first run of a study's rung, or the run of a config.json."""
    if args.study.endswith(".json"):
        return Run(override(read_config(Path(args.study)), args.assignments), rung=0)
    study = studies.load(args.study, args.assignments)
    rungs = {run.rung: run for run in reversed(study.runs)}
    if args.rung not in rungs:
        raise UserError(f"--rung {args.rung}: the study has rungs {sorted(rungs)}")
    return rungs[args.rung]


def diff(args: argparse.Namespace) -> int:
    rows = differences(args.run_a, args.run_b)
    if not rows:
        print("the same science")
        return 0
    table = [[str(value) or "''" for value in row] for row in rows]
    name, a = (max(len(row[column]) for row in table) for column in (0, 1))
    for row in table:
        print(f"{row[0]:{name}}  {row[1]:{a}}  {row[2]}")
    return DIFFERENT


def export(args: argparse.Namespace) -> int:
    from experiments.training import export as exported

    config, params = exported.finished(args.run)
    exported.write(args.to, config, params)
    print(f"{args.to}: the parameters of {args.run}; python -m experiments evaluate {args.to}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Of a file's parameters in a fresh state, on the validation windows of its config."""
    from experiments import data
    from experiments.training import export as exported
    from experiments.training.hypers import hypers
    from experiments.training.populations.member import validation_parts
    from experiments.training.populations.programs import programs
    from experiments.training.step import fresh_state, recipe

    config, arrays = exported.read(args.file)
    config = override(config, args.assignments)
    made, science = recipe(config), config.science
    params = exported.from_arrays(made, arrays, str(args.file))
    corpus = data.prepare(science.data, args.cache, lambda text: print(text, file=sys.stderr))
    check_vocabulary(science, corpus)
    parts = validation_parts(config, corpus)
    loss = float(programs(made).evaluate(fresh_state(made, hypers(science), params), parts))
    per_byte = loss / corpus.bytes_per_token("valid")
    print(
        f"{loss:.6f} nats/token, {per_byte:.6f} nats/byte, {per_byte / math.log(2):.6f} bits/byte"
    )
    return 0


def coordinates(args: argparse.Namespace) -> int:
    import numpy as np

    from experiments import data
    from experiments.training.coordinate_check import Coordinate, measure, resize, write

    for name in ("steps", "seeds"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: must be at least 1")
    if args.widths and args.depths:
        raise UserError("--widths or --depths, not both: the check is over one of them")
    sweep = _bind(args)
    config = sweep.study.runs[0].config
    model, batch = config.science.model, config.science.batch
    axis, sizes = ("layers", args.depths) if args.depths else ("width", args.widths)
    sizes = sizes or [model.width * factor for factor in (1, 2, 4, 8)]
    configs = [resize(config, args.grow, **{axis: size}) for size in sizes]
    batches = next(
        data.chunks(
            sweep.corpus.train,
            seed=config.science.seed,
            sequences=batch.sequences,
            seq_len=batch.seq_len,
            start_step=0,
            stop_step=args.seeds,
            steps_per_chunk=args.seeds,
        )
    )
    rows: list[Coordinate] = []
    for size, sized in zip(sizes, configs, strict=True):
        print(f"{axis}={size}: {args.seeds} seeds, {args.steps} steps", file=sys.stderr)
        rows += measure(sized, np.asarray(batches), args.steps)
    path = sweep.folder / COORDINATES
    write(rows, path)
    print(f"{path}\nnext: python -m analysis coordinate-check {path}")
    return 0


VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "mirror": mirror,
    "status": status,
    "list": list_files,
    "search": search,
    "schedules": schedules,
    "describe": describe,
    "export": export,
    "evaluate": evaluate,
    "coordinates": coordinates,
    "diff": diff,
}
