"""``python -m experiments``: run studies and look at their records."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from experiments.record import AGAIN, Part
from scaling.arguments import Parser
from scaling.errors import UserError

EPILOG = """examples:
  python -m experiments run quickstart
  python -m experiments run isoflop --set scale=gpu --set model.mlp=swiglu
  python -m experiments run quickstart --dry-run
  python -m experiments status quickstart
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
        description="Run studies and look at their records.",
        epilog=EPILOG,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, example: str) -> Parser:
        return verbs.add_parser(name, help=text, description=text, epilog=f"example:\n  {example}")

    def with_study(sub: Parser) -> None:
        sub.add_argument("study", help="a study's name, or the path of a study file")
        sub.add_argument(
            "--set",
            dest="assignments",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="a setting of the study (scale=gpu) or a field of every run (model.width=64)",
        )
        sub.add_argument("--out", type=Path, help="the study's folder (default runs/STUDY)")
        sub.add_argument("--cache", type=Path, default=default_cache(), help="corpora and programs")

    def with_launcher(sub: Parser) -> None:
        sub.add_argument(
            "--launcher", default="local", metavar="NAME", help="local (default), ray or slurm"
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
            help="what the launcher asks for each worker, in its own words",
        )

    run = verb(
        "run",
        "Train what is missing of a study; the same command continues an interrupted one.",
        "python -m experiments run quickstart --set seed=1 --out runs/seed1",
    )
    with_study(run)
    run.add_argument(
        "--part",
        type=Part,
        choices=list(Part),
        default=Part.FIT,
        help="the runs to fit (default), or the held-out ones, once a prediction is written",
    )
    with_launcher(run)
    run.add_argument("--dry-run", action="store_true", help="print every run, train none")
    status = verb(
        "status", "How each run of a study stands.", "python -m experiments status quickstart"
    )
    with_study(status)
    verb("list", "The studies that come with the package.", "python -m experiments list")
    describe = verb(
        "describe",
        "Every parameter of a study's runs and its rules; N, D and C under every definition.",
        "python -m experiments describe quickstart --rung 0",
    )
    with_study(describe)
    describe.add_argument("--rung", type=int, default=0, help="show the first run of this rung")
    coordinates = verb(
        "coordinates",
        "Measure how activations and their changes go with the width or the depth of a study's "
        "first model; `python -m analysis coordinate-check` judges the table.",
        "python -m experiments coordinates lr_width --set parametrization.name=mup",
    )
    with_study(coordinates)
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
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # preempted: as Ctrl-C
    try:
        args = parser().parse_args(arguments)
        from experiments import commands  # after the parser, so that --help stays quick

        code = commands.VERBS[args.verb](args)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoints", file=sys.stderr)
        return AGAIN
    except BrokenPipeError:  # `... | head` is not an error; nothing more can be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


if __name__ == "__main__":
    sys.exit(main())
