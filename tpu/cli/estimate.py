"""Estimate the memory and the time of every run of a study, or of one config, by formulas alone.

The table holds parameters, tokens and FLOPs (flops_model), the layout, and the memory of each chip.
It names the bound of a step (compute, HBM or network), its least time, and the days and chip-hours
of the run. Times are lower bounds, no forecasts: give --mfu your measured utilisation.

  python -m tpu estimate isoflop --set scale=pod --chip v5p --chips 128
  python -m tpu estimate isoflop --set scale=gpu --chip h200 --chips 8 --mfu 0.4
  python -m tpu estimate runs/isoflop/RUN/config.json --chip v5e --chips 16 --layout fsdp --why
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scaling.common.errors import UserError
from scaling.common.tables import table
from scaling.machines.chips import CHIPS, GIB, chip
from tpu.cli import _studies as studies

if TYPE_CHECKING:
    from experiments.plan.run import Run
    from scaling.machines.chips import Chip
    from scaling.machines.choose_layout import Candidate, LayoutRanking

HEAD = (
    "run",
    "params_total",
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
WHY = ("layout", "microbatch", "GiB/chip", "compute s", "hbm s", "network s", "bubble")
SHOWN = 8  # layouts under --why
INCOMPLETE = 1  # exit code where a run fits in no way


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    studies.add(parser)
    parser.add_argument("--chip", required=True, metavar="NAME", help=", ".join(CHIPS))
    parser.add_argument("--chips", required=True, type=int, metavar="N", help="how many of them")
    parser.add_argument(
        "--mfu",
        type=float,
        metavar="PART",
        help="measured share of the peak; a step takes no less than its bound",
    )
    parser.add_argument("--why", action="store_true", help="list the other layouts too")


def run(options: argparse.Namespace) -> int:
    """Print a row for every run, and below the reasons of those that do not fit."""
    from experiments.devices.auto_layout import choose

    if options.chips < 1:
        raise UserError(f"--chips {options.chips}: must be at least 1")
    if options.mfu is not None and not 0 < options.mfu <= 1:
        raise UserError(f"--mfu {options.mfu}: must lie above 0 and up to 1")
    device, runs = chip(options.chip), studies.runs(options, options.chips)
    choices: list[LayoutRanking | None] = []
    refused: dict[str, UserError] = {}
    for planned in runs:
        try:
            choices.append(choose(planned.config, device, options.chips))
        except UserError as error:
            choices.append(None)
            refused[str(error)] = error
    if not any(choices):
        raise next(iter(refused.values()))
    print(_headline(device, options))
    pairs = list(zip(runs, choices, strict=True))
    rows = [_row(planned, choice, options.mfu) for planned, choice in pairs]
    print(table(HEAD, rows, "markdown"))
    hours = sum(_hours(planned, choice, options.mfu) for planned, choice in pairs if choice)
    print(f"in all {hours / options.chips / 24:,.3g} days, {hours:,.4g} chip-hours")
    if options.why:
        reasons = {_why(choice): None for choice in choices if choice}
        print("", *reasons, sep="\n\n")
    for text in refused:
        print(f"fits in no way: {text}")
    return INCOMPLETE if refused else 0


def _headline(chip: Chip, options: argparse.Namespace) -> str:
    peaks = ", ".join(f"{dtype} {peak / 1e12:.4g}" for dtype, peak in chip.peak.items())
    sides = "x".join(map(str, chip.torus(options.chips))) if chip.platform == "tpu" else ""
    times = f"at {options.mfu:.0%} MFU" if options.mfu else "at the bounds"
    recalled = f"; unchecked: {', '.join(chip.recalled)}" if chip.recalled else ""
    return (
        f"{options.chips} x {chip.name} {sides} ({peaks} TFLOP/s, {chip.hbm_bytes / GIB:.4g} GiB "
        f"at {chip.hbm_bandwidth / 1e12:.3g} TB/s{recalled}), times {times}"
    )


def _row(run: Run, choice: LayoutRanking | None, mfu: float | None) -> list[str]:
    book = run.ledger
    name = f"{run.part} {run.rung}"
    row = [name, *(f"{book[n]:.3g}" for n in ("params_total", "tokens", "flops_model"))]
    if choice is None:
        return row + ["-"] * (len(HEAD) - len(row))
    best, seconds, hours = choice.best, _seconds(choice, mfu), _hours(run, choice, mfu)
    bounds, chips = best.roofline, best.layout.devices
    row += [best.name, str(best.step.microbatch), f"{best.bytes / GIB:.2f}", bounds.bound]
    row += [f"{seconds:.3g}", f"{bounds.mfu(seconds):.0%}"]
    return [*row, f"{hours / chips / 24:.3g}", f"{hours:.4g}"]


def _seconds(choice: LayoutRanking, mfu: float | None) -> float:
    bounds = choice.best.roofline
    return bounds.seconds_at(mfu) if mfu else bounds.seconds


def _hours(run: Run, choice: LayoutRanking, mfu: float | None) -> float:
    """Chip-hours of the steps that the run does not take over from another."""
    steps = run.config.science.steps - run.first_step
    return steps * _seconds(choice, mfu) * choice.best.layout.devices / 3600


def _why(choice: LayoutRanking) -> str:
    return table(WHY, [_reasons(one) for one in (choice.best, *choice.others)][:SHOWN], "markdown")


def _reasons(one: Candidate) -> list[str]:
    bounds = one.roofline.bounds.values()
    cells = [one.name, str(one.step.microbatch), f"{one.bytes / GIB:.2f}"]
    return cells + [f"{bound:.3g}" for bound in bounds] + [f"{one.roofline.waiting:.0%}"]
