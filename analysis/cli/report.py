"""Write the figures, fit.json and report.html of a study into its folder.

The last line printed is the prediction beside the measurement.

  python -m analysis report runs/quickstart
"""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.cli._progress import progress


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", help="folder with study.json")


def run(options: argparse.Namespace) -> int:
    """Write the report; the last line is the prediction beside the measurement."""
    from analysis.report.report import PAGE, write_report

    with progress("reading the runs") as say:
        evidence = write_report(options.study, say)
    for text in evidence.missing:
        print(f"note: {text}")
    for table in evidence.tables:
        print(f"\n{table}\n")
    print(f"wrote {Path(options.study) / PAGE}")
    print(evidence.sentence)
    return 0
