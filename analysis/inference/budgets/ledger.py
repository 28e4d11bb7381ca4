"""Bills of studies: device-hours, FLOPs, energy, carbon and money of every run that has ended.

    device-hours  = wall seconds x devices / members / 3600
    MFU           = flops_model of the steps trained / (device seconds x peak)
    kWh           = measured joules, else watts x device-hours / 1000; both times PUE
    gCO2          = kWh x grid,     money = device-hours x price

A run of a population has its share of the program's time, 1 / members. Steps that a run took over
from its parent are the parent's. On a CPU a device is one worker, whatever its cores. Energy that
was not measured is an estimate, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiments.record import (
    SEARCH,
    STUDY,
    SUMMARY,
    DamagedError,
    RunSummary,
    UnreadableError,
    read,
    reading_folder,
)
from scaling.common.errors import UserError
from scaling.machines.chips import of_device

JOULES = 3.6e6  # of a kWh


@dataclass(frozen=True)
class Prices:
    """Watts of a device, for energy that was not measured; peak FLOP/s of a device that is no known
    chip; PUE, gCO2 per kWh, and money per device-hour. None: not known."""

    watts: float | None = None
    peak: float | None = None
    pue: float = 1.0
    grid: float | None = None
    money: float | None = None


@dataclass(frozen=True)
class Bill:
    """Sums over the runs of one folder. Numbers that no run has, or no price, are None."""

    folder: str
    is_tuning: bool
    runs: int
    tokens: float
    flops: float
    flops_6nd: float
    device_seconds: float
    mfu: float | None
    kwh: float | None
    measured_kwh: float
    grams: float | None
    money: float | None

    @property
    def hours(self) -> float:
        """Device-hours."""
        return self.device_seconds / 3600

    @property
    def energy_source(self) -> str:
        """Measured, estimated, or both."""
        if self.kwh is None:
            return "unknown"
        share = self.measured_kwh / self.kwh if self.kwh else 0.0
        return "measured" if share > 0.999 else "estimated" if share < 0.001 else "partly measured"


def bills(folders: Iterable[str], prices: Prices, tuning: Iterable[str] = ()) -> list[Bill]:
    """A bill of each folder: a study, a run, or a folder of studies, which has one for each.

    A folder with search.json, or below one of `tuning`, is tuning.

    Raises:
        UserError: a folder has no run that has ended.
    """
    marked = [reading_folder(each).resolve() for each in tuning]
    found: list[Bill] = []
    for name in folders:
        here = reading_folder(name)
        studies = list(_studies(here))
        if not studies:
            raise UserError(f"{name}: no run has ended here ({SUMMARY} not found)")
        for study, runs in studies:
            is_tuning = (study / SEARCH).exists() or any(
                study.resolve().is_relative_to(each) for each in marked
            )
            found.append(_bill(study, runs, prices, is_tuning))
    return found


def _studies(here: Path) -> Iterator[tuple[Path, list[RunSummary]]]:
    """Folders with runs that have ended: a run itself, a study, or studies below a folder."""
    if not here.is_dir():
        raise UserError(f"{here}: no such folder; give a study folder such as runs/quickstart")
    if (here / SUMMARY).exists():
        yield here, [read(here, RunSummary)]
        return
    below = sorted(path for path in here.iterdir() if path.is_dir())
    runs = list(_summaries(below))
    if runs:
        yield here, runs
    elif not (here / STUDY).exists():
        for path in below:
            inside = sorted(each for each in path.iterdir() if each.is_dir())
            if found := list(_summaries(inside)):
                yield path, found


def _summaries(folders: Iterable[Path]) -> Iterator[RunSummary]:
    for folder in folders:
        with suppress(DamagedError, UnreadableError):  # `status` says which
            if (folder / SUMMARY).exists():
                yield read(folder, RunSummary)


def _bill(folder: Path, runs: list[RunSummary], prices: Prices, is_tuning: bool) -> Bill:
    seconds = flops = tokens = joules = unmeasured = possible = counted = 0.0
    for run in runs:
        spent = _device_seconds(run)
        done = _flops(run)
        seconds, flops = seconds + spent, flops + done
        tokens += run.metrics.tokens_trained or 0
        if run.metrics.energy_joules is None:
            unmeasured += spent
        else:
            joules += run.metrics.energy_joules
        if peak := _peak(run, prices):
            possible, counted = possible + peak * spent, counted + done
    estimated = None if prices.watts is None else prices.watts * unmeasured
    known = unmeasured == 0 or estimated is not None
    kwh = (joules + (estimated or 0.0)) * prices.pue / JOULES if known else None
    return Bill(
        folder=str(folder),
        is_tuning=is_tuning,
        runs=len(runs),
        tokens=tokens,
        flops=flops,
        flops_6nd=sum(_flops(run, "flops_6nd") for run in runs),
        device_seconds=seconds,
        mfu=counted / possible if possible else None,
        kwh=kwh,
        measured_kwh=joules * prices.pue / JOULES,
        grams=None if kwh is None or prices.grid is None else kwh * prices.grid,
        money=None if prices.money is None else prices.money * seconds / 3600,
    )


def _device_seconds(run: RunSummary) -> float:
    where = run.environment
    return (run.metrics.wall_seconds or 0.0) * (where.devices or 1) / (where.members or 1)


def _flops(run: RunSummary, count: str = "flops_model") -> float:
    """A count of FLOPs, of the steps that the run trained itself."""
    steps, trained = run.metrics.steps, run.metrics.steps_trained
    if not steps or trained is None:
        return 0.0
    return run.accounting[count] * trained / steps


def _peak(run: RunSummary, prices: Prices) -> float | None:
    """Peak FLOP/s of one device: that of its chip, else the given one."""
    kind = (run.environment.device or "").partition(" ")[2]
    with suppress(UserError):
        return of_device(kind).flops(str(run.science["precision"]))
    return prices.peak
