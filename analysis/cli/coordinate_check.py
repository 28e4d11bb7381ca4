"""Check that activations keep their size as models grow; name the rule that is broken if not.

Fits the slope of ln mean|activation| on ln width (or depth) at every place, from the table that
`python -m experiments coordinates` measured. Exit status 1: a slope is beyond its limit.

  python -m experiments coordinates lr_transfer --set parametrization.name=mup
  python -m analysis coordinate-check runs/lr_transfer/coordinates.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling.common.answers import Answer, Line, Shown
from scaling.common.errors import UserError
from scaling.common.files import output_folder

FAILS = 1


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("table", type=Path, help="coordinates.csv")


def run(options: argparse.Namespace) -> Answer:
    """Print every slope of the last step and the rule that is broken; draw them."""
    from analysis.estimators.coordinate_check import AXES, check, draw, label
    from analysis.plotting.style import save
    from analysis.tables.files import load_table

    table: Path = options.table
    if not table.is_file():
        raise UserError(
            f"{table}: no such file; measure it with python -m experiments coordinates STUDY"
        )
    output_folder(table.parent)
    options.progress(f"reading {table}")
    verdict = check(load_table(table))
    yield Line(
        "slopes of ln mean|x| on ln {axis} after {step} steps [95 % over seeds]\n",
        axis=AXES[verdict.axis],
        step=int(verdict.judged["step"].iloc[0]),
    )
    for row in verdict.judged.to_dict("records"):
        what = label(row["place"], row["layer"]) + " change" * (row["quantity"] == "change")
        ends = f"[{row['low']:>5.2f}, {row['high']:>5.2f}]"
        yield Line(
            "{place:28} {slope:>6.2f}  {interval}{passes}",
            "slopes",
            place=what,
            slope=row["slope"],
            interval=Shown((row["low"], row["high"]), ends),
            passes=Shown(bool(row["passes"]), "" if row["passes"] else "  beyond the limit"),
        )
    options.progress("drawing")
    step = int(verdict.judged["step"].iloc[0])
    save(draw(verdict, f"Coordinates after {step} steps"), table.parent, "coordinates")
    yield Line("\n{figure}", figure=str(table.with_name("coordinates.png")))
    if verdict.passes and not verdict.broken:
        yield Line("{verdict}: every activation keeps its size", verdict="passes")
        return 0
    if verdict.broken:
        rule, *others = verdict.broken
        seen = f" (also seen, perhaps its effects: {', '.join(others)})" if others else ""
        yield Line("broken rule: {broken}{also}", broken=rule, also=Shown(others, seen))
    else:
        yield Line("{verdict}, and no single rule explains it", verdict="fails")
    return FAILS
