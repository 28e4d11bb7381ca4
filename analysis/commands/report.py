"""`analysis report`: the page, the figures and the fit of a study."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from analysis.commands.say import Progress


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
    from analysis.report import PAGE, write_report
    from analysis.transfer import text

    evidence = write_report(options.study, Progress())
    for note in evidence.missing:
        print(f"note: {note}")
    print(f"wrote {Path(options.study) / PAGE}")
    if evidence.valleys is not None:
        lines = text(evidence.valleys.setting, evidence.transfers, evidence.study.published)
        print("", *lines, "", sep="\n")
    print(evidence.sentence)
    return 0
