"""Budgets in hours, kWh or money, by what the runs of a results folder spent for their 6 N D."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from scaling.common.answers import Line, Shown
from scaling.common.errors import UserError
from scaling.common.quantities import positive

UNITS: Mapping[str, str] = {
    "flops": "a FLOP",
    "hours": "a device-hour",
    "kwh": "a kWh",
    "money": "a unit of money",
}
PRICED: Mapping[str, str] = {"watts": "kwh", "price": "money"}  # options of one unit alone


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Declare the unit of a budget, and where its price in FLOPs comes from."""
    parser.add_argument("--unit", choices=UNITS, default="flops", help="of the budget")
    parser.add_argument(
        "--flops-per-unit", type=positive, metavar="F", help="FLOPs that one unit buys"
    )
    parser.add_argument(
        "--measured", metavar="FOLDER", help="results whose device-hours and energy give it"
    )
    parser.add_argument(
        "--watts", type=positive, metavar="W", help="of a device of --measured without a meter"
    )
    parser.add_argument("--price", type=positive, metavar="P", help="of a device-hour there")


def per_unit(options: argparse.Namespace) -> float:
    """FLOPs of 6 N D that one unit buys, on average over the runs of the folder.

    Raises:
        UserError: none or both of the two sources, an idle option, or the folder does not tell.
    """
    unit = options.unit
    for name, of in PRICED.items():
        if getattr(options, name) and not (unit == of and options.measured):
            raise UserError(f"--{name}: serves --unit {of} --measured FOLDER alone; leave it out")
    if unit == "flops":
        if options.flops_per_unit or options.measured:
            raise UserError(
                "--flops-per-unit, --measured: the budget is in FLOPs already; give --unit"
            )
        return 1.0
    if bool(options.flops_per_unit) == bool(options.measured):
        raise UserError(
            f"--unit {unit}: give --flops-per-unit, the FLOPs that one buys, or --measured FOLDER"
        )
    if options.flops_per_unit:
        return float(options.flops_per_unit)
    from analysis.inference.budgets.ledger import Prices, bills

    found = bills([options.measured], Prices(watts=options.watts, money=options.price))
    spent = [getattr(each, unit) for each in found]
    if None in spent:
        needed = {"kwh": "energy was not measured; give --watts", "money": "give --price"}[unit]
        raise UserError(f"--unit {unit} --measured {options.measured}: {needed}")
    done = sum(each.flops_6nd for each in found)
    if not (sum(spent) > 0 and done > 0):
        raise UserError(f"--measured {options.measured}: the runs record no steps or no {unit}")
    return done / sum(spent)


def rate_line(options: argparse.Namespace, flops: float) -> Line:
    """The rate in words."""
    text = "{unit} buys {rate} FLOPs of 6 N D, the average of all runs of {folder}"
    unit = Shown(options.unit, UNITS[options.unit])
    return Line(text, "rates", unit=unit, rate=flops, folder=options.measured)
