"""Write the figures, fit.json and report.html of a study into its folder.

The last line printed is the prediction beside the measurement.

  windtunnel report runs/quickstart
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from analysis.cli._study import add_study
from scaling.common.answers import Answer, Line, Note, Shown
from scaling.common.files import output_folder


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_study(parser)


def run(options: argparse.Namespace) -> Answer:
    """Write the report; the last line is the prediction beside the measurement."""
    from analysis.report.report import PAGE, write_report

    output_folder(options.study)
    options.progress("reading the runs")
    evidence = write_report(options.study, options.progress)
    yield from map(Note, evidence.missing)
    for table in evidence.tables:
        yield Line("\n{table}\n", "tables", table=Shown(asdict(table), str(table)))
    yield Line("wrote {page}", page=str(Path(options.study) / PAGE))
    yield Line("{sentence}", sentence=evidence.sentence)
    return 0
