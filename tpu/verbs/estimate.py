"""What every run of a study, or one config, takes on so many chips, by formulas alone.

Parameters, tokens and FLOPs (flops_model); the layout and the memory of each chip; which bounds a
step, compute, HBM or network, and the time below which that keeps it; days and chip-hours for the
tokens of the run. Times are bounds, not forecasts: give --mfu the utilisation that you measured.

  python -m tpu estimate isoflop --set scale=pod --chip v5p --chips 128
  python -m tpu estimate isoflop --set scale=gpu --chip h200 --chips 8 --mfu 0.4
  python -m tpu estimate runs/isoflop/RUN/config.json --chip v5e --chips 16 --layout fsdp --why
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.errors import UserError
from scaling.layout import KINDS

if TYPE_CHECKING:
    from experiments.study import Run
    from scaling.choice import Candidate, Choice
    from scaling.hardware import Chip

HEAD = (
    "run",
    "params",
    "tokens",
    "FLOPs",
    "layout",
    "microbatch",
    "GiB/chip",
    "bound",
    "step s",
    "MFU",
    "days",
    "chip-hours",
)
WHY = ("layout", "microbatch", "GiB/chip", "compute s", "HBM s", "network s", "step s")
SHOWN = 6  # layouts under --why
INCOMPLETE = 1  # exit code where some run fits nowhere


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="a study's name, the path of its file, or a config.json")
    parser.add_argument("--chip", required=True, metavar="NAME", help="as v5p, v6e or h200")
    parser.add_argument("--chips", required=True, type=int, metavar="N", help="how many of them")
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"auto, single, {', '.join(KINDS)}; sizes of its axes as --set "
        "execution.layout.tensor=4 (default: the study's own, or auto)",
    )
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting of the study (scale=gpu) or a field of every run (model.width=64)",
    )
    parser.add_argument(
        "--mfu", type=float, metavar="PART", help="of the peak that steps come to, where they can"
    )
    parser.add_argument("--why", action="store_true", help="the layouts that each was chosen from")


def run(options: argparse.Namespace) -> int:
    from scaling.hardware import chip

    if options.chips < 1:
        raise UserError(f"--chips {options.chips}: must be at least 1")
    if options.mfu is not None and not 0 < options.mfu <= 1:
        raise UserError(f"--mfu {options.mfu}: must lie between 0 and 1")
    device = chip(options.chip)
    assignments = list(options.assignments)
    if options.layout is not None:
        assignments.insert(0, f"execution.layout.name={options.layout}")
    runs = _runs(options.study, assignments)
    print(_headline(device, options.chips))
    rows, refused, hours = [], list[UserError](), 0.0
    known: dict[object, Choice | UserError] = {}
    for planned in runs:
        ...
    return 0
