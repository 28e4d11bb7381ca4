"""`analysis report`: the page, the figures and the fit of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from analysis.cli._progress import Progress


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="figures, fit.json and report.html of a study",
        description="Write figures/ (PNG and SVG), fit.json and report.html into a study's folder.",
        epilog="example:\n  python -m analysis report runs/quickstart",
    )
    parser.add_argument("study", help="folder with study.json")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the report; the last line is the prediction beside the measurement."""
    from analysis.report.report import PAGE, write_report

    evidence = write_report(options.study, Progress())
    for text in evidence.missing:
        print(f"note: {text}")
    for table in evidence.tables:
        print(f"\n{table}\n")
    print(f"wrote {Path(options.study) / PAGE}")
    print(evidence.sentence)
    return 0
