"""`analysis predict`: the held-out runs of a study, before they are trained."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from analysis.cli._progress import Progress


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "predict",
        help="write prediction.json for the held-out runs, before they are trained",
        description="Fit the finished runs of a study and write down what the held-out runs will "
        "do.\nA prediction that stands is kept; none is made once a held-out run is trained.",
        epilog="example:\n  python -m analysis predict runs/quickstart",
    )
    parser.add_argument("study", help="folder with study.json")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the prediction and print its first line."""
    from analysis.inference.forecast import predict_held_out, standing_forecasts
    from analysis.plotting.style import scientific
    from analysis.report.verdict import interval

    outcome = predict_held_out(options.study, Progress())
    file = Path(options.study) / "prediction.json"
    if "says" in outcome.prediction:
        print(f"{outcome.action} {file}: {outcome.prediction['says']}")
        return 0
    first = standing_forecasts(outcome.prediction)[0]
    print(
        f"{outcome.action} {file}: {first.loss:.3f} "
        f"{interval(first.low, first.high)} {outcome.prediction['unit']} for the "
        f"{scientific(first.flops_6nd)}-FLOP run, from {len(outcome.prediction['fitted_on'])} runs"
    )
    return 0
