"""Populations of the best measured throughput, from runs that share a program.

A population of K runs lasts as long as its longest member, so a plan of populations costs

    sum over populations of  seconds(K) * max(steps)

with seconds(K) of one step of all K, as measured on the device. In order of length, the best
populations are neighbours; dynamic programming finds the cheapest plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from experiments.config.overrides import assign, attribute, paths, value_of
from experiments.config.run import RunConfig
from experiments.config.traced import FIELDS
from experiments.runs.job import Job, Population

# Fields that the host alone reads, member by member
HOST = (
    "data",
    "evaluation.windows",
    "evaluation.times",
    "execution.keep",
    "execution.unneeded",
    "execution.permanent",
)

Curve = Mapping[int, float]  # members: seconds of one step of all of them
ALONE: Curve = {1: 1.0}
LARGEST = 64  # members on one device
# A population is chosen if it is faster than solo runs by this factor; less may be noise
GAIN = 1.05
# Least runs of one signature that pay for the compilations of a measurement
WORTHWHILE: Mapping[str, int] = {"cpu": 8, "accelerator": 2}


def signature(config: RunConfig) -> RunConfig:
    """The config with the fields of `TRACED` and `HOST` at their defaults.

    The program does not depend on these. Equal signatures are equal recipes.
    """
    return assign(config, _usual())


def signatures(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """The signature of each config, made once for all that agree in its other fields."""
    made: dict[Any, RunConfig] = {}
    found = []
    for config in configs:
        key = _other_fields()(config)
        if key not in made:
            made[key] = signature(config)
        found.append(made[key])
    return found


@cache
def _other_fields() -> Callable[[RunConfig], Any]:
    """The getter of all values that a signature keeps."""
    inside = tuple(f"{path}." for path in HOST)
    kept = (path for path in paths() if path not in _usual() and not path.startswith(inside))
    return attrgetter(*map(attribute, kept))


@cache
def _usual() -> Mapping[str, Any]:
    default = RunConfig()
    values = {path: value_of(default, path) for path in (*FIELDS, *HOST)}
    return values | {"schedule.final_fraction": 1.0}  # which no shape refuses


def alike(jobs: Sequence[Job]) -> dict[RunConfig, list[Job]]:
    """Jobs by signature, each group from its longest run to its shortest."""
    groups: dict[RunConfig, list[Job]] = {}
    longest = sorted(jobs, key=_steps, reverse=True)
    kinds = signatures(job.run.config for job in longest)
    for kind, job in zip(kinds, longest, strict=True):
        groups.setdefault(kind, []).append(job)
    return groups


def largest(group: Sequence[Job], workers: int, platform: str) -> int:
    """The largest population that leaves one for every worker; 1 needs no measurement."""
    group = [job for job in group if not job.run.teachers]
    if not group:
        return 1
    execution = group[0].run.config.execution
    if execution.layout.name != "single":
        return execution.runs_per_program or 1
    wanted = execution.runs_per_program
    if wanted or len(group) < WORTHWHILE[platform]:
        return wanted or 1
    return max(1, len(group) // workers)


def to_measure(
    groups: Mapping[RunConfig, Sequence[Job]], places: int, platform: str
) -> list[tuple[RunConfig, int]]:
    """Signatures that need a measured throughput, each with its most members."""
    sizes = {kind: largest(group, places, platform) for kind, group in groups.items()}
    return [
        (kind, most)
        for kind, most in sizes.items()
        if most > 1 and not kind.execution.runs_per_program
    ]


def all_populations(
    groups: Mapping[RunConfig, Sequence[Job]], known: Mapping[RunConfig, Curve], places: int
) -> list[Population]:
    """All groups in populations, most FLOPs first; runs without a curve train alone."""
    found = [
        population
        for kind, group in groups.items()
        for population in populations(group, known.get(kind, ALONE), places)
    ]
    return sorted(
        found, key=lambda population: sum(job.run.flops for job in population), reverse=True
    )


def populations(group: Sequence[Job], curve: Curve, workers: int) -> list[Population]:
    """One group in populations: of its execution's size, or else by the curve.

    A run with teachers trains alone, for its program holds their models.
    """
    alone: list[Population] = [(job,) for job in group if job.run.teachers]
    group = [job for job in group if not job.run.teachers]
    if not group:
        return alone
    wanted = group[0].run.config.execution.runs_per_program
    if wanted:
        return alone + [tuple(group[i : i + wanted]) for i in range(0, len(group), wanted)]
    most = max(1, len(group) // workers)
    sizes = plan([_steps(job) for job in group], {k: s for k, s in curve.items() if k <= most})
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return alone + [tuple(group[i : i + size]) for i, size in zip(starts, sizes, strict=True)]


def plan(steps: Sequence[int], curve: Curve) -> list[int]:
    """Sizes of the populations of least total cost, from the longest runs to the shortest.

    Args:
        steps: of each run, descending.
        curve: holds 1; no other sizes are used, for each size is a compilation.
    """
    cost = {k: seconds * (1.0 if k == 1 else GAIN) for k, seconds in curve.items()}
    # best[n], of the last n runs: cost, size of the first population
    best: list[tuple[float, int]] = [(0.0, 0)]
    for n in range(1, len(steps) + 1):
        longest = steps[len(steps) - n]
        choices = ((longest * cost[k] + best[n - k][0], k) for k in cost if k <= n)
        best.append(min(choices))
    sizes, n = [], len(steps)
    while n:
        sizes.append(best[n][1])
        n -= best[n][1]
    return sizes


def doublings(most: int, devices: int = 1) -> list[int]:
    """Sizes to measure: 1, then D, 2D, 4D, ... members up to `most` on D devices.

    D is one of them for any `most` above 1: 2 to D members take equally long.
    """
    sizes = (devices * 2**i for i in range(int(math.log2(LARGEST)) + 1))
    return sorted({1, *(k for k in sizes if k <= max(devices, most) and most > 1)})


def _steps(job: Job) -> int:
    """Steps of the job's own training, without a parent's."""
    return job.run.config.science.steps - job.run.first_step
