"""`analysis fit`: a law's constants, their intervals and the card of the fit."""

from __future__ import annotations

import argparse
import json
from typing import Any

from analysis.cli._table_options import add_table, fit_path


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "fit",
        help="fit a law to a study, a folder of runs, a CSV file or a published table",
        description="Fit a law to a table of runs and print its constants and its card.\n"
        "Columns not named are taken from study.json where there is one, else from the defaults.",
        epilog="examples:\n"
        "  python -m analysis fit runs/quickstart --bootstrap 1000\n"
        "  python -m analysis fit table.csv --law chinchilla --loss loss --params n --tokens d "
        "--bootstrap 4000\n"
        "  python -m analysis fit runs/isoflop --holdout 'flops_6nd>1e11'\n"
        "  python -m analysis fit chinchilla_epoch --drop-highest 5 --bootstrap 4000",
    )
    parser.add_argument(
        "path", help="study folder, run folder, folder of studies, CSV file or published table"
    )
    parser.add_argument("--law", help="a law of `python -m analysis laws` (default: chinchilla)")
    add_table(parser)
    parser.add_argument("--json", action="store_true", help="print the fit as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit and print."""
    result = fit_path(options.path, options.law, options)
    if options.json:
        print(json.dumps(result.to_json(), indent=1, allow_nan=False))
        return 0
    width = max(len(name) for name in result.params)
    for name, value in result.params.items():
        low_high = ""
        if result.has_intervals:
            low, high = result.interval(name)
            low_high = f"   [{low:.6g}, {high:.6g}]"
        print(f"{name:>{width}} = {value:.6g}{low_high}")
    print(f"objective {result.objective:.10g}, {result.status}, {len(result.points)} points")
    for warning in result.warnings:
        print(f"note: {warning}")
    if result.kept_out is not None:
        print(f"\n{result.held_out}")
    print(f"\n{result.card()}")
    return 0
