"""Budgets in hours, kWh or money, by what the runs of a results folder spent for their 6 N D."""

from __future__ import annotations

import argparse

from scaling.common.answers import Line
from scaling.common.errors import UserError
from scaling.common.quantities import not_negative, positive

UNITS = ("flops", "hours", "kwh", "money")


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
    parser.add_argument("--price", type=not_negative, metavar="P", help="of a device-hour there")


def per_unit(options: argparse.Namespace) -> float:
    """FLOPs of 6 N D that one unit buys.

    Raises:
        UserError: none or both of the two sources, or the folder does not tell.
    """
    unit = options.unit
    if unit == "flops":
        for name in ("flops_per_unit", "measured", "watts", "price"):
            if getattr(options, name):
                raise UserError(f"--{name.replace('_', '-')}: the budget is in FLOPs already")
        return 1.0
    if bool(options.flops_per_unit) == bool(options.measured):
        raise UserError(
            f"--unit {unit}: give --flops-per-unit, the FLOPs that one buys, or --measured FOLDER"
        )
    if options.flops_per_unit:
        return float(options.flops_per_unit)
    from analysis.inference.budgets.ledger import Prices, bills

    found = bills([options.measured], Prices(watts=options.watts, money=options.price))
    spent = [{"hours": each.hours, "kwh": each.kwh, "money": each.money}[unit] for each in found]
    known = [each for each in spent if each is not None]
    if len(known) < len(spent):
        needed = {"kwh": "energy was not measured; give --watts", "money": "give --price"}[unit]
        raise UserError(f"--unit {unit} --measured {options.measured}: {needed}")
    done = sum(each.flops_6nd for each in found)
    if not (sum(known) > 0 and done > 0):
        raise UserError(f"--measured {options.measured}: the runs record no steps or no {unit}")
    return done / sum(known)


def rate_line(options: argparse.Namespace, flops: float) -> Line:
    """The rate in words."""
    text = "one of {unit} buys {rate} FLOPs of 6 N D, measured on {folder}"
    return Line(text, "rates", unit=options.unit, rate=flops, folder=options.measured)
