"""Cost of the runs that have ended: device-hours, tokens/s, MFU, energy, carbon and money.

Hours are measured; so is energy where the records hold it. Else it is estimated from --watts, and
says so. Searches, and folders of --tuning, are tuning; their share of the device-hours is printed.

  windtunnel bill runs/quickstart --watts 40 --pue 1.2 --grid 350
  windtunnel bill runs/quickstart runs/muon --tuning runs/muon --price 2.5 --watts 700
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from scaling.common.answers import Answer, Line, Note, Rows
from scaling.common.errors import UserError
from scaling.common.quantities import not_negative, positive

if TYPE_CHECKING:
    from analysis.inference.budgets.ledger import Bill

HEAD = (
    "folder",
    "runs",
    "tokens",
    "FLOPs",
    "device-hours",
    "tokens/s",
    "MFU, %",
    "kWh",
    "energy",
    "gCO2",
    "money",
)
KEYS = (
    *("folder", "runs", "tokens", "flops", "device_hours", "tokens_per_second", "mfu"),
    *("kwh", "energy_source", "gco2", "money"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folders", nargs="+", help="studies, runs, or folders of studies")
    parser.add_argument(
        "--tuning",
        action="append",
        default=[],
        metavar="FOLDER",
        help="one whose runs only tuned others; may be given again",
    )
    parser.add_argument(
        "--watts", type=positive, metavar="W", help="of a device, where energy was not measured"
    )
    parser.add_argument(
        "--peak", type=positive, metavar="FLOPS", help="FLOP/s of a device that is no known chip"
    )
    parser.add_argument(
        "--pue", type=positive, default=1.0, help="energy of the site over that of the devices"
    )
    parser.add_argument("--grid", type=not_negative, metavar="G", help="gCO2 per kWh")
    parser.add_argument("--price", type=not_negative, metavar="P", help="of a device-hour")


def run(options: argparse.Namespace) -> Answer:
    """Print a row for each study, and the total."""
    from analysis.inference.budgets.ledger import Prices, bills

    if options.pue < 1:
        raise UserError(f"--pue {options.pue:g}: a site uses no less than its devices; at least 1")
    prices = Prices(options.watts, options.peak, options.pue, options.grid, options.price)
    found = bills(options.folders, prices, options.tuning)
    yield Rows("bills", HEAD, [_row(each) for each in found], left=(0, 8), keys=KEYS)
    hours = sum(each.hours for each in found)
    tuned = sum(each.hours for each in found if each.is_tuning)
    yield Line(
        "\n{device_hours_in_all:.4g} device-hours in all; tuning {tuning_share:.1%}",
        device_hours_in_all=hours,
        tuning_share=tuned / hours if hours else 0.0,
    )
    if any(each.kwh is None for each in found):
        yield Note("energy was not measured: give --watts for an estimate")
    elif any(each.energy_source != "measured" for each in found):
        yield Note(f"energy is an estimate: {options.watts:g} W x device-hours x PUE")
    if any(each.mfu is None for each in found):
        yield Note("MFU needs a known chip, or --peak")
    return 0


def _row(bill: Bill) -> list[Any]:
    seconds = bill.device_seconds
    return [
        bill.folder + " (tuning)" * bill.is_tuning,
        bill.runs,
        bill.tokens,
        bill.flops,
        bill.hours,
        bill.tokens / seconds if seconds else None,
        None if bill.mfu is None else 100 * bill.mfu,
        bill.kwh,
        bill.energy_source,
        bill.grams,
        bill.money,
    ]
