"""`python -m analysis`: fit a table, predict a study's held-out runs, write its report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scaling.arguments import Parser
from scaling.errors import UserError

PATIENCE = 2.0  # seconds before progress is worth a line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a UserError is one line on stderr and exit status 2."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m analysis",
        description="Fit scaling laws to tables of runs, predict held-out runs, write the report.",
        epilog="example:\n  python -m analysis report runs/quickstart",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="fit|predict|report")

    one = commands.add_parser(
        "fit",
        help="fit a law to a study, a folder of runs, or a CSV file",
        description="Fit a law to a table of runs and print its constants and its card.\n"
        "Columns not named are taken from study.json where there is one, else from the defaults.",
        epilog="examples:\n"
        "  python -m analysis fit runs/quickstart --bootstrap 1000\n"
        "  python -m analysis fit table.csv --law chinchilla --loss loss --params n --tokens d "
        "--drop-highest 5",
    )
    one.add_argument("path", help="study folder, run folder, folder of studies, or CSV file")
    one.add_argument("--law", help="name of a law in scaling/laws (default: chinchilla)")
    one.add_argument("--loss", help="column of the loss (default: loss)")
    one.add_argument("--params", help="column of the parameters (default: params_total)")
    one.add_argument("--tokens", help="column of the training tokens (default: tokens)")
    one.add_argument("--x", default="flops_6nd", help="column of a one-variable law's x")
    one.add_argument("--delta", type=float, default=1e-3, help="Huber width in log loss")
    one.add_argument("--bootstrap", type=int, default=0, metavar="R", help="resamples")
    one.add_argument("--drop-highest", type=int, default=0, metavar="K", help="drop K losses")
    one.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    one.add_argument("--json", action="store_true", help="print the fit as JSON")
    one.set_defaults(run=_fit)

    two = commands.add_parser(
        "predict",
        help="write prediction.json for the held-out runs, before they are trained",
        description="Fit the finished runs of a study and write down what the held-out runs will "
        "do.\nA prediction that stands is kept; none is made once a held-out run is trained.",
        epilog="example:\n  python -m analysis predict runs/quickstart",
    )
    two.add_argument("study", help="folder with study.json")
    two.set_defaults(run=_predict)

    three = commands.add_parser(
        "report",
        help="figures, fit.json and report.html of a study",
        description="Write figures/ (PNG and SVG), fit.json and report.html into a study's folder.",
        epilog="example:\n  python -m analysis report runs/quickstart",
    )
    three.add_argument("study", help="folder with study.json")
    three.set_defaults(run=_report)
    return parser


def _fit(options: argparse.Namespace) -> None:
    from analysis.fitting import fit
    from analysis.runs import load_runs, load_table
    from analysis.study import load_study
    from experiments.record import STUDY
    from scaling.laws import by_name

    path = Path(options.path)
    names = {"law": "chinchilla", "loss": "loss", "params": "params_total", "tokens": "tokens"}
    if (path / STUDY).exists():
        study = load_study(path)
        table = study.runs
        names = {
            "law": study.law.name,
            "loss": study.loss,
            "params": study.params,
            "tokens": study.tokens,
        }
    else:
        table = load_table(path) if path.is_file() else load_runs(path)
    names |= {key: given for key in names if (given := getattr(options, key)) is not None}
    law = by_name(names["law"])
    Progress()(f"fitting {law.name} with {options.bootstrap} resamples")
    result = fit(
        law,
        table,
        loss=names["loss"],
        params=names["params"],
        tokens=names["tokens"],
        x=options.x,
        delta=options.delta,
        bootstrap=options.bootstrap,
        seed=options.seed,
        drop_highest=options.drop_highest,
    )
    if options.json:
        print(json.dumps(result.to_json(), indent=1, allow_nan=False))
        return
    for name, value in result.params.items():
        low_high = ""
        if result.has_intervals:
            low, high = result.interval(name)
            low_high = f"   [{low:.6g}, {high:.6g}]"
        print(f"{name:>8} = {value:.6g}{low_high}")
    print(f"objective {result.objective:.10g}, {result.status}, {len(result.points)} points")
    for warning in result.warnings:
        print(f"note: {warning}")
    print(f"\n{result.card()}")


def _predict(options: argparse.Namespace) -> None:
    from analysis.holdout import predict_held_out, standing_forecasts
    from analysis.style import scientific
    from analysis.verdict import interval

    outcome = predict_held_out(options.study, Progress())
    first = standing_forecasts(outcome.prediction)[0]
    print(
        f"{outcome.action} {Path(options.study) / 'prediction.json'}: {first.loss:.3f} "
        f"{interval(first.low, first.high)} {outcome.prediction['unit']} for the "
        f"{scientific(first.flops_6nd)}-FLOP run, from {len(outcome.prediction['fitted_on'])} runs"
    )


def _report(options: argparse.Namespace) -> None:
    from analysis.report import PAGE, write_report

    evidence = write_report(options.study, Progress())
    for text in evidence.missing:
        print(f"note: {text}")
    print(f"wrote {Path(options.study) / PAGE}")
    print(evidence.sentence)


class Progress:
    """Says what is being done once the command has taken longer than anyone likes to wait."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self.start > PATIENCE:
            print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
