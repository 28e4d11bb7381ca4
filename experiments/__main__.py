"""``python -m experiments``: run studies and searches and look at their records."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from experiments.record import AGAIN, Part
from scaling.common.command_line import Parser, exit_code

EPILOG = """examples:
  python -m experiments run quickstart
  python -m experiments run isoflop --set scale=gpu --set model.mlp=swiglu
  python -m experiments run quickstart --dry-run
  python -m experiments status quickstart
  python -m experiments mirror runs/quickstart --tracker tensorboard
  python -m experiments search lr_search --dry-run
  python -m experiments diff runs/quickstart/RUN_A runs/quickstart/RUN_B
"""


def default_cache() -> Path:
    """Where corpora and compiled programs are kept: WINDTUNNEL_CACHE, else ~/.cache/windtunnel."""
    return Path(os.environ.get("WINDTUNNEL_CACHE", "~/.cache/windtunnel")).expanduser()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def parser() -> Parser:
    top = Parser(
        prog="python -m experiments",
        description="Run studies and searches and look at their records.",
        epilog=EPILOG,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, example: str) -> Parser:
        return verbs.add_parser(name, help=text, description=text, epilog=f"example:\n  {example}")

    def with_assignments(sub: Parser, text: str) -> None:
        sub.add_argument(
            "--set",
            dest="assignments",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help=text,
        )

    def with_cache(sub: Parser) -> None:
        sub.add_argument("--cache", type=Path, default=default_cache(), help="corpora and programs")

    def with_file(sub: Parser, kind: str = "study") -> None:
        sub.add_argument(kind, help=f"a {kind}'s name, or the path of a {kind} file")
        with_assignments(
            sub, f"a setting of the {kind} (scale=gpu) or a field of every run (model.width=64)"
        )
        sub.add_argument("--out", type=Path, help="the folder of its runs (default runs/NAME)")
        with_cache(sub)

    def with_launcher(sub: Parser) -> None:
        sub.add_argument(
            "--launcher", default="local", metavar="NAME", help="local (default), group, ray, slurm"
        )
        sub.add_argument(
            "--workers", type=int, help="runs at once (default: one per core, or one per GPU)"
        )
        sub.add_argument(
            "--resource",
            dest="resources",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="what the launcher asks for each worker, or must be told, in its own words",
        )

    run = verb(
        "run",
        "Train what is missing of a study; the same command continues an interrupted one.",
        "python -m experiments run quickstart --set seed=1 --out runs/seed1",
    )
    with_file(run)
    run.add_argument(
        "--part",
        type=Part,
        choices=list(Part),
        default=Part.FIT,
        help="the runs to fit (default), the held-out ones, once a prediction is written, or the "
        "trunks; what a run goes on from is trained before it",
    )
    with_launcher(run)
    run.add_argument(
        "--tracker",
        dest="trackers",
        metavar="NAME",
        action="append",
        default=[],
        help="mirror the records meanwhile: tensorboard, wandb or mlflow; may be given again",
    )
    run.add_argument("--dry-run", action="store_true", help="print every run, train none")
    search = verb(
        "search",
        "Find the best fields of a run: start many briefly, train the best on.",
        "python -m experiments search lr_search --set R=27 --sampler optuna",
    )
    with_file(search, "search")
    search.add_argument(
        "--sampler", default="random", help="who is tried: at 'random' (default), or by 'optuna'"
    )
    with_launcher(search)
    search.add_argument("--dry-run", action="store_true", help="print the cost, train nothing")
    status = verb(
        "status", "How each run of a study stands.", "python -m experiments status quickstart"
    )
    with_file(status)
    mirror = verb(
        "mirror",
        "Send what a tracker has not got yet of a study's records; at any time, and again.",
        "python -m experiments mirror runs/quickstart --tracker tensorboard",
    )
    mirror.add_argument("folder", type=Path, help="the study's folder, such as runs/STUDY")
    mirror.add_argument(
        "--tracker", required=True, metavar="NAME", help="tensorboard, wandb or mlflow"
    )
    mirror.add_argument(
        "--follow", action="store_true", help="go on until all planned runs have ended"
    )
    verb("list", "The studies and searches of the package.", "python -m experiments list")
    schedules = verb(
        "schedules",
        "Draw every learning-rate schedule and every shape of decay.",
        "python -m experiments schedules --out schedules.png",
    )
    schedules.add_argument(
        "--out", type=Path, default=Path("schedules.png"), help="the picture: .png, .svg or .pdf"
    )
    describe = verb(
        "describe",
        "Every parameter of a study's runs and its rules; N, D and C under every definition.",
        "python -m experiments describe quickstart --rung 0\n"
        "  python -m experiments describe runs/quickstart/RUN/config.json",
    )
    with_file(describe)
    describe.add_argument("--rung", type=int, default=0, help="show the first run of this rung")
    coordinates = verb(
        "coordinates",
        "Measure how activations and their changes go with the width or the depth of a study's "
        "first model; `python -m analysis coordinate-check` judges the table.",
        "python -m experiments coordinates lr_transfer --set parametrization.name=mup",
    )
    with_file(coordinates)
    coordinates.add_argument(
        "--widths", type=_sizes, help="as 64,128,256 (default: 1, 2, 4 and 8 times the model's)"
    )
    coordinates.add_argument("--depths", type=_sizes, help="numbers of layers, at one width")
    coordinates.add_argument(
        "--grow",
        choices=("head_dim", "heads"),
        default="head_dim",
        help="what a wider model has more of; head_dim (default) checks the attention scale too",
    )
    coordinates.add_argument("--steps", type=int, default=8, help="steps on one batch (default 8)")
    coordinates.add_argument("--seeds", type=int, default=3, help="default 3")
    export = verb(
        "export",
        "The parameters of a completed run as a safetensors file, with its config.",
        "python -m experiments export runs/quickstart/RUN --to model.safetensors",
    )
    export.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    export.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file to write")
    evaluate = verb(
        "evaluate",
        "The validation loss of an exported file, on the data of its config or on others.",
        "python -m experiments evaluate model.safetensors --set evaluation.windows=4096",
    )
    evaluate.add_argument("file", type=Path, metavar="FILE", help="what export wrote")
    with_assignments(evaluate, "a field of its config (data.path=...)")
    with_cache(evaluate)
    diff = verb(
        "diff",
        "What differs in the science of two runs: field, A, B. Exit code 1 if anything does.",
        "python -m experiments diff runs/quickstart/RUN_A runs/quickstart/RUN_B",
    )
    diff.add_argument("run_a", type=Path, metavar="RUN_A", help="a run's folder")
    diff.add_argument("run_b", type=Path, metavar="RUN_B", help="another run's folder")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 all finished, 2 the user's mistake, 75 interrupted or to be tried again.

    Of diff: 0 the same science, 1 another.
    """

    def command() -> int:
        args = parser().parse_args(arguments)
        from experiments.cli import run as commands  # after the parser, so that --help stays quick

        return commands.VERBS[args.verb](args)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # preempted: as Ctrl-C
    try:
        return exit_code(command)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return AGAIN
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
