"""Forecasts of memory and time, before a run is trained and without opening a device.

Memory is an estimate (`scaling.machines.memory`). Time is known only if the same program was timed
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.run import RunConfig
from experiments.devices.resolve import resolve, step_of
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.plan.run import Run
from experiments.record import Status
from experiments.runs.job import Job
from experiments.training.populations import grouping, throughput
from experiments.training.populations.grouping import signature
from scaling.machines import memory as scaling_memory

DEVICE = {"cpu": "cpu", "accelerator": "gpu"}  # the platform of the assumed program
SPEED = ("program", "microbatch", "steps_per_dispatch")  # fields of an execution that decide on it

Rates = Mapping[RunConfig, float]  # signature: tokens per second of all members together


@dataclass(frozen=True)
class RunForecast:
    """Memory and time of one run, as the next call would train it."""

    members: int | None  # of its population; None: not yet measured
    bytes: int | None  # of one device, for all members; None: no layout chosen yet
    seconds: float | None  # of one worker; None: no such program was timed here


def forecast(
    runs: Sequence[Run], study: str, launcher: Launcher, site: Site
) -> dict[str, RunForecast]:
    """The forecast of each run by its id, in the populations that `run_sweep` would make."""
    groups = grouping.alike([Job(run, study, site.folder / run.run_id) for run in runs])
    places, platform = min(launcher.places, len(runs)), launcher.platform
    slot, timed = launcher.slot(site), rates(runs, site.folder)
    curves = {
        kind: throughput.kept(kind, slot, most)
        for kind, most in grouping.to_measure(groups, places, platform)
    }
    known = {kind: curve for kind, curve in curves.items() if curve is not None}
    settled = groups.keys() - (curves.keys() - known.keys())
    seconds = cache(partial(seconds_per_step, slot=slot, known=timed))
    size = cache(partial(_bytes, platform=DEVICE[platform]))
    kinds = {job.run.run_id: kind for kind, group in groups.items() for job in group}
    found = {}
    for population in grouping.all_populations(groups, known, places):
        for job in population:
            kind, members = kinds[job.run.run_id], len(population)
            each, steps = seconds(kind, members), job.run.config.science.steps
            found[job.run.run_id] = RunForecast(
                members if kind in settled else None,
                size(kind, members),
                None if each is None else each * (steps - job.run.first_step),
            )
    return found


def _bytes(config: RunConfig, members: int, platform: str) -> int | None:
    if config.execution.layout.name == "auto":
        return None
    return sum(memory(config, members, platform).values())


def memory(config: RunConfig, members: int, platform: str) -> dict[str, int]:
    """Bytes on one device of a population of `members` such runs, term by term."""
    science, execution = config.science, resolve(config, platform)
    dims = science.model.dims(science.batch.seq_len)
    step = step_of(science, execution)
    return scaling_memory.memory(dims, step, members, execution.layout)


def rates(runs: Sequence[Run], folder: Path) -> Rates:
    """The throughput of each signature's completed runs, compilation and validation included."""
    found: dict[RunConfig, float] = {}
    for run in runs:
        path = folder / run.run_id
        try:
            status = record.run_status(path)
        except record.UnreadableError:
            continue
        if status is not Status.COMPLETED:
            continue
        summary = record.read(path, record.RunSummary)
        ours = to_dict(run.config.execution)
        speed, members = summary.metrics.tokens_per_second, summary.environment.members
        if speed and members and all(summary.execution[name] == ours[name] for name in SPEED):
            kind, rate = signature(run.config), speed * members
            found[kind] = max(rate, found[kind]) if kind in found else rate
    return found


def seconds_per_step(kind: RunConfig, members: int, slot: Slot, known: Rates) -> float | None:
    """Seconds of one worker, with all its devices, for a step of one run of `members`.

    The source is the measured throughput of its signature, or else `known` rates; None: unknown.
    """
    curve = throughput.kept(kind, slot)
    if curve and members in curve:
        return curve[members] / members
    return kind.science.batch.batch_tokens / known[kind] if kind in known else None
