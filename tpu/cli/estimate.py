"""Estimate the memory and the time of every run of a study, or of one config, by formulas alone.

The table holds parameters, tokens and FLOPs (flops_model), the layout, and the memory of each chip.
It names the bound of a step (compute, HBM or network), its least time, and the days and chip-hours
of the run. Times are lower bounds, no forecasts: give --mfu your measured utilisation. --why lists
other layouts, and how many runs that differ in numbers alone to train in one program.

  windtunnel tpu estimate isoflop --set scale=pod --chip v5p --chips 128
  windtunnel tpu estimate isoflop --set scale=gpu --chip h200 --chips 8 --mfu 0.4
  windtunnel tpu estimate runs/isoflop/RUN/config.json --chip v5e --chips 16 --layout fsdp --why
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.errors import UserError
from scaling.common.quantities import count, share
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
WHY = (
    "layout",
    "microbatch",
    "GiB/chip",
    "GiB sent",
    "compute s",
    "hbm s",
    "network s",
    "bubble",
)
TOGETHER = ("runs alike", "runs_per_program", "layout", "GiB/chip", "step s per run", "alone s")
SHOWN = 8  # layouts under --why
INCOMPLETE = 1  # exit code where a run fits in no way


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    studies.add(parser)
    parser.add_argument("--chip", required=True, metavar="NAME", help=", ".join(CHIPS))
    parser.add_argument("--chips", required=True, type=count, metavar="N", help="how many of them")
    parser.add_argument(
        "--mfu",
        type=share,
        metavar="PART",
        help="measured share of the peak; a step takes no less than its bound",
    )
    parser.add_argument("--why", action="store_true", help="list the other layouts too")


def run(options: argparse.Namespace) -> Answer:
    """Print a row for every run, and below the reasons of those that do not fit."""
    from experiments.devices.auto_layout import choose

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
    yield _headline(device, options)
    pairs = list(zip(runs, choices, strict=True))
    rows = [_row(planned, choice, options.mfu) for planned, choice in pairs]
    yield Rows("runs", HEAD, rows)
    hours = sum(_hours(planned, choice, options.mfu) for planned, choice in pairs if choice)
    yield Line(
        "in all {days:,.3g} days, {chip_hours:,.4g} chip-hours",
        days=hours / options.chips / 24,
        chip_hours=hours,
    )
    if options.why:
        reasons = {str(table): table for table in map(_why, filter(None, choices))}
        yield from reasons.values()
        yield from _together(runs, device, options)
    for text in refused:
        yield Line("fits in no way: {reason}", "refused", reason=text)
    return INCOMPLETE if refused else 0


def _together(runs: Sequence[Run], device: Chip, options: argparse.Namespace) -> Iterator[Rows]:
    """The best population of every group of several runs that leaves its layout open."""
    from experiments.devices.auto_layout import choose, together
    from experiments.training.populations.grouping import signature

    rows = []
    kinds = Counter(signature(planned.config) for planned in runs)
    for kind, alike in kinds.items():
        if alike == 1 or kind.execution.layout.name != "auto":
            continue
        with suppress(UserError):  # already told
            alone = choose(kind, device, options.chips).best
            best = together(kind, device, options.chips, alike).best
            row = [alike, best.members, best.name, Shown.of(best.bytes / GIB, ".2f")]
            times = (best.seconds_per_run, alone.seconds_per_run)
            rows.append([*row, *(Shown.of(each, ".3g") for each in times)])
    if rows:
        yield Rows("populations", TOGETHER, rows, above="\n\n")


def _headline(chip: Chip, options: argparse.Namespace) -> Line:
    peaks = ", ".join(f"{dtype} {peak / 1e12:.4g}" for dtype, peak in chip.peak.items())
    sides = "x".join(map(str, chip.torus(options.chips))) if chip.platform == "tpu" else ""
    times = f"at {options.mfu:.0%} MFU" if options.mfu else "at the bounds"
    recalled = f"; unchecked: {', '.join(chip.recalled)}" if chip.recalled else ""
    return Line(
        "{chips} x {chip} {torus} ({peak_tflops} TFLOP/s, {hbm_gib} GiB at {hbm_tb_per_s:.3g} TB/s"
        "{recalled}), times {mfu}",
        chips=options.chips,
        chip=chip.name,
        torus=sides,
        peak_tflops=Shown({dtype: each / 1e12 for dtype, each in chip.peak.items()}, peaks),
        hbm_gib=chip.hbm_bytes / GIB,
        hbm_tb_per_s=chip.hbm_bandwidth / 1e12,
        recalled=Shown(chip.recalled, recalled),
        mfu=Shown(options.mfu, times),
    )


def _row(run: Run, choice: LayoutRanking | None, mfu: float | None) -> list[Any]:
    book = run.ledger
    name = f"{run.part} {run.rung}"
    counts = ("params_total", "tokens", "flops_model")
    row: list[Any] = [name, *(Shown.of(book[each], ".3g") for each in counts)]
    if choice is None:
        return row + [None] * (len(HEAD) - len(row))
    best, seconds, hours = choice.best, _seconds(choice, mfu), _hours(run, choice, mfu)
    bounds, chips = best.roofline, best.layout.devices
    row += [best.name, best.step.microbatch, Shown.of(best.bytes / GIB, ".2f"), bounds.bound]
    row += [Shown.of(seconds, ".3g"), Shown.of(bounds.mfu(seconds), ".0%")]
    return [*row, Shown.of(hours / chips / 24, ".3g"), Shown.of(hours, ".4g")]


def _seconds(choice: LayoutRanking, mfu: float | None) -> float:
    bounds = choice.best.roofline
    return bounds.seconds_at(mfu) if mfu else bounds.seconds


def _hours(run: Run, choice: LayoutRanking, mfu: float | None) -> float:
    """Chip-hours of the steps that the run does not take over from another."""
    steps = run.config.science.steps - run.first_step
    return steps * _seconds(choice, mfu) * choice.best.layout.devices / 3600


def _why(choice: LayoutRanking) -> Rows:
    shown = (choice.best, *choice.others)[:SHOWN]
    return Rows("layouts", WHY, [_reasons(one) for one in shown], above="\n\n")


def _reasons(one: Candidate) -> list[Any]:
    bounds = one.roofline.bounds.values()
    sizes = (Shown.of(size / GIB, ".2f") for size in (one.bytes, one.sent))
    cells = [one.name, one.step.microbatch, *sizes]
    times = [Shown.of(bound, ".3g") for bound in bounds]
    return [*cells, *times, Shown.of(one.roofline.waiting, ".0%")]
