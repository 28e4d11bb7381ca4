"""Check that a model follows its parametrization's theory as it grows; name a rule that is broken.

Each rule in force (init, learning rate, epsilon, decay, factors) has a power of the width or depth;
each activation a slope of ln mean|activation|, from the table that `windtunnel
coordinates` measured. Exit status 1: a rule is broken, or a slope is beyond its limit.

  windtunnel coordinates quickstart --set parametrization.name=mup
  windtunnel coordinate-check runs/quickstart/coordinates.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.common.answers import Answer, Line, Shown
from scaling.common.errors import UserError
from scaling.common.files import output_folder
from scaling.common.remote import local

if TYPE_CHECKING:
    from analysis.estimators.coordinate_check import CoordinateCheck

FAILS = 1


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("table", type=local, help="coordinates.csv, or its URL")


def run(options: argparse.Namespace) -> Answer:
    """Print every slope that theory speaks of and the rules that are broken; draw the slopes."""
    from analysis.estimators.coordinate_check import AXES, check, draw
    from analysis.plotting.style import save
    from analysis.tables.files import load_table

    table: Path = options.table
    if not table.is_file():
        raise UserError(f"{table}: no such file; measure it with windtunnel coordinates STUDY")
    output_folder(table.parent)
    options.progress(f"reading {table}")
    verdict = check(load_table(table))
    yield Line(
        "slopes of ln mean|x| on ln {axis} [95 % of all together], limits by {parametrization}'s "
        "theory\n",
        axis=AXES[verdict.axis],
        parametrization=verdict.parametrization,
    )
    for row in verdict.judged.to_dict("records"):
        place, when = _name(row)
        ends = (row["low"], row["high"])
        limits = (row["limit_low"], row["limit_high"])
        yield Line(
            "{place:28} {step} {slope:>6.2f}  {interval}  limits {limits}{verdict}",
            "slopes",
            place=place,
            step=Shown(row["step"], f"{when:14}"),
            slope=row["slope"],
            interval=Shown(ends, "[{:>5.2f}, {:>5.2f}]".format(*ends)),
            limits=Shown(limits, "{:>5.2f} {:>5.2f}".format(*limits)),
            verdict=Shown(row["verdict"], _remark(row["verdict"])),
        )
    options.progress("drawing")
    steps = int(verdict.slopes["step"].max())
    save(draw(verdict, f"Coordinates after {steps} steps"), table.parent, "coordinates")
    yield Line("\n{figure}", figure=str(table.with_name("coordinates.png")))
    yield from _conclusion(verdict)
    return 0 if verdict.passes else FAILS


def _name(row: Mapping[Any, Any]) -> tuple[str, str]:
    """The place of a slope, and when it was measured."""
    from analysis.estimators.coordinate_check import label

    place = label(row["place"], row["layer"]) + " change" * (row["quantity"] == "change")
    return place, f"after {row['step']} steps" if row["step"] else "at the start"


def _remark(verdict: str) -> str:
    return {"within": "", "beyond": "  beyond the limit"}.get(verdict, "  undetermined")


def _conclusion(verdict: CoordinateCheck) -> Iterator[Line]:
    from analysis.estimators.coordinate_check import AXES

    axis, name = AXES[verdict.axis], verdict.parametrization
    for text in verdict.unseen:
        yield Line("not to be seen here: {rule}", "unseen", rule=text)
    if not verdict.claims:
        yield Line(
            "{claim}",
            claim=f"{name} does not claim to keep activations over {axis}: after the start no "
            "slope is judged, and a learning rate does not transfer",
        )
    for rule, shown in verdict.named.items():
        yield Line("broken rule: {rule}", "broken", rule=rule)
        for power in shown:
            yield Line(
                "  {rule}: {axis}^{measured:.2f}, by theory {theory}",
                "powers",
                rule=str(power),
                axis=axis,
                measured=power.measured,
                theory=Shown(power.theory, _theory(power.theory)),
            )
    yield Line("{verdict}: {why}", **_verdict(verdict))


def _verdict(found: CoordinateCheck) -> Mapping[str, str]:
    """The verdict, and which slopes or rules it comes from with the remedy."""
    from analysis.estimators.coordinate_check import AXES, BEYOND

    def where(kind: str) -> str:
        rows = found.judged[found.judged["verdict"] == kind].to_dict("records")
        return ", ".join(" ".join(_name(row)) for row in rows)

    name = found.parametrization
    if found.named:
        why = f"these rules are not {name}'s; windtunnel describe STUDY shows those of all weights"
        return {"verdict": "fails", "why": why}
    if not found.passes:
        why = f"{where(BEYOND)}; every rule is {name}'s, so look into the modules' code"
        return {"verdict": "fails", "why": why}
    if found.undetermined:
        asked = "; ".join(f"{remedy} for {where(remedy)}" for remedy in found.undetermined)
        return {"verdict": "undetermined", "why": f"{asked}; no rule is broken"}
    why = f"every rule and every slope is {name}'s over {AXES[found.axis]}{_reach(found)}"
    return {"verdict": "passes", "why": why}


def _reach(found: CoordinateCheck) -> str:
    """The number of slopes within their limits whose intervals are not, and the remedy."""
    rows = found.judged
    inside = (rows["low"] >= rows["limit_low"]) & (rows["high"] <= rows["limit_high"])
    wide = int((~inside).sum())
    return f"; {wide} of {len(rows)} intervals reach beyond limits (more --seeds)" * (wide > 0)


def _theory(power: float) -> str:
    return "none" if power == -float("inf") else f"{power:.2f}"
