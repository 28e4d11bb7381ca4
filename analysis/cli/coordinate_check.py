"""Check that activations keep their size as models grow; name the rule that is broken if not.

Fits the slope of ln mean|activation| on ln width (or depth) at every place, from the table that
`python -m experiments coordinates` measured. Exit status 1: a slope is beyond its limit.

  python -m experiments coordinates lr_transfer --set parametrization.name=mup
  python -m analysis coordinate-check runs/lr_transfer/coordinates.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling.common.errors import UserError

FAILS = 1


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("table", type=Path, help="coordinates.csv")


def run(options: argparse.Namespace) -> int:
    """Print every slope of the last step and the rule that is broken; draw them."""
    from analysis.estimators.coordinate_check import AXES, check, draw, label
    from analysis.plotting.style import save
    from analysis.tables.runs import load_table

    table: Path = options.table
    if not table.is_file():
        raise UserError(
            f"{table}: no such file; measure it with python -m experiments coordinates STUDY"
        )
    verdict = check(load_table(table))
    step = int(verdict.judged["step"].iloc[0])
    print(f"slopes of ln mean|x| on ln {AXES[verdict.axis]} after {step} steps [95 % over seeds]\n")
    for row in verdict.judged.to_dict("records"):
        what = label(row["place"], row["layer"]) + " change" * (row["quantity"] == "change")
        print(
            f"{what:28} {row['slope']:>6.2f}  [{row['low']:>5.2f}, {row['high']:>5.2f}]"
            f"{'' if row['passes'] else '  beyond the limit'}"
        )
    save(draw(verdict, f"Coordinates after {step} steps"), table.parent, "coordinates")
    print(f"\n{table.with_name('coordinates.png')}")
    if verdict.passes and not verdict.broken:
        print("passes: every activation keeps its size")
        return 0
    if verdict.broken:
        rule, *others = verdict.broken
        seen = f" (also seen, perhaps its effects: {', '.join(others)})" if others else ""
        print(f"broken rule: {rule}{seen}")
    else:
        print("fails, and no single rule explains it")
    return FAILS
