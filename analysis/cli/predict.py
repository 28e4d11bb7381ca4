"""Write prediction.json for the held-out runs of a study, before they are trained.

Fits the finished runs of the study. A prediction that stands is kept; none is made once a held-out
run is trained.

  windtunnel predict runs/quickstart
"""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.cli._study import add_study
from scaling.common.answers import Answer, Whole
from scaling.common.files import output_folder, plain


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_study(parser)


def run(options: argparse.Namespace) -> Answer:
    """Write the prediction and print its first line."""
    from analysis.plotting.numbers import scientific
    from analysis.report.predict import predict_held_out
    from analysis.report.verdict import contents, interval
    from experiments.record import PREDICTION

    output_folder(options.study)
    options.progress("reading the runs")
    outcome = predict_held_out(options.study, options.progress)
    file, prediction = Path(options.study) / PREDICTION, outcome.prediction
    if prediction.law is None:
        said = f"{outcome.action} {file}: {prediction.says}"
    else:
        first = prediction.forecasts[0]
        said = (
            f"{outcome.action} {file}: {first.loss:.3f} "
            f"{interval(first.low, first.high)} {prediction.unit}{contents(first)} for the "
            f"{scientific(first.flops_6nd)}-FLOP run, from {len(prediction.fitted_on)} runs"
            + (f", {first.beyond:.3g} x beyond their compute" if first.beyond else "")
        )
    values = {"action": outcome.action, "file": str(file), "prediction": plain(prediction)}
    yield Whole(values, said)
    return 0
