"""Worker processes on this machine: one per core of a CPU, or one per GPU.

One process per core is the default on a CPU: for small models it is faster than one process on all
cores (benchmarks/train_step.py --cores 2). Runs with a layout over several devices come last, in
one worker with all devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from experiments.config.run import RunConfig
from experiments.devices import machine
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.launchers._pool import train_all
from experiments.runs.job import Event, Population
from experiments.training.populations import throughput
from experiments.training.populations.grouping import Curve
from scaling.common.errors import UserError
from scaling.machines.layout import Layout

LOG = "workers.log"


@dataclass(frozen=True)
class Local(Launcher):
    """A process pool."""

    workers: int

    @property
    def places(self) -> int:
        return self.workers

    @property
    def platform(self) -> machine.Platform:
        return machine.platform()

    def slot(self, site: Site) -> Slot:
        return next(self._slots(site))

    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        return throughput.curves(wanted, self.slot(site))

    def train(
        self, site: Site, populations: Sequence[Population], watch: Callable[[Event], None]
    ) -> bool:
        kinds = dict.fromkeys(
            population[0].run.config.execution.layout for population in populations
        )
        for layout in sorted(kinds, key=lambda layout: layout.name != "single"):
            alike = [
                population
                for population in populations
                if population[0].run.config.execution.layout == layout
            ]
            slots = self._slots(site) if layout.name == "single" else [_whole(site, layout)]
            if not train_all(alike, list(islice(slots, len(alike))), watch):
                return False
        return True

    def _slots(self, site: Site) -> Iterator[Slot]:
        """One for each worker, made when asked for: there may be more workers than runs."""
        for core, gpu in zip(_cores(self.places), _gpus(self.places), strict=True):
            yield Slot(site.cache, site.folder / LOG, core=core, gpu=gpu)


def _whole(site: Site, layout: Layout) -> Slot:
    """The slot of a layout over several devices: all devices; on a CPU, simulated ones."""
    devices = layout.devices_in_all
    simulated = devices if machine.platform() == "cpu" and devices > 1 else None
    return Slot(site.cache, site.folder / LOG, devices=simulated)


def launcher(workers: int | None, resources: Mapping[str, str]) -> Local:
    if resources:
        raise UserError(f"--resource {next(iter(resources))}: the local launcher takes none")
    return Local(workers or default_workers())


def default_workers() -> int:
    """One per core that this process may use; with an accelerator one per GPU, or one."""
    if machine.platform() == "cpu":
        return len(machine.cores())
    return max(1, len(machine.gpus()))


def _cores(workers: int) -> Iterator[int | None]:
    """The core to pin each worker to; None where pinning is impossible or slower."""
    cores = machine.cores()
    if machine.platform() == "cpu" and workers <= len(cores) and machine.CAN_PIN:
        return iter(cores[:workers])
    return repeat(None, workers)


def _gpus(workers: int) -> Iterator[str | None]:
    """The GPU of each worker; None, all visible, for one worker or no GPU."""
    gpus = machine.gpus()
    if workers == 1 or not gpus:
        return repeat(None, workers)
    return (gpus[k % len(gpus)] for k in range(workers))
