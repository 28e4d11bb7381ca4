"""Fit a law to a study, a folder of runs, a CSV file or a published table.

Prints the constants with their intervals, the status and the card of the fit. Columns not named
are those of study.json where there is one, else the defaults.

  python -m analysis fit runs/quickstart --bootstrap 1000
  python -m analysis fit table.csv --law chinchilla --loss loss --params n --tokens d
  python -m analysis fit runs/isoflop --holdout 'flops_6nd>1e11'
  python -m analysis fit chinchilla_epoch --drop-highest 5 --bootstrap 4000
"""

from __future__ import annotations

import argparse
import json

from analysis.cli._table_options import PATH, add_table, fit_path


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("path", help=PATH)
    parser.add_argument("--law", help="a law of `python -m analysis laws`")
    add_table(parser)
    parser.add_argument("--json", action="store_true", help="print the fit as JSON")


def run(options: argparse.Namespace) -> int:
    """Fit and print."""
    from analysis import card

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
    if result.held_out is not None:
        print(f"\n{result.held_out}")
    print(f"\n{card(result)}")
    return 0
