"""Ray: each population is a task with the requested resources, anywhere in a cluster.

The nodes share a file system with this machine: the study's folder and the cache have the same
paths on all. The progress of a run is read from its record. With `processes` above 1, that number
of tasks train a run together (`experiments.launchers.group`). A placement group holds their
resources: none starts before all can.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.config.run import RunConfig
from experiments.devices import machine
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.launchers._ray_tasks import Started, Tasks, ray
from experiments.launchers._worker import train_here
from experiments.launchers.local import LOG
from experiments.record import AGAIN
from experiments.runs.job import Event, Job, Population
from experiments.training.populations import throughput
from experiments.training.populations.grouping import Curve
from scaling.common.errors import UserError

LOCAL = "local"  # the address of an instance that this process starts
# name in a task's request: name in a node's resources
BUILT_IN = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
# Tasks that a process serves (0: all): an accelerator is free only when its process ends
CALLS = {"cpu": 0, "accelerator": 1}
CONNECT = 10.0  # seconds to wait for a cluster to answer


@dataclass(frozen=True)
class Ray(Launcher):
    """Tasks with the same resources each."""

    workers: int | None  # at once; None: all that the nodes have the resources for
    address: str  # of the cluster
    resources: Mapping[str, float]
    processes: int = 1  # tasks that train a run together

    @property
    def places(self) -> int:
        self._connect()
        if not (room := self._held()):
            have = ray.cluster_resources()
            found = {name: have.get(BUILT_IN.get(name, name), 0) for name in self.resources}
            raise UserError(
                f"--resource {_text(self.resources)}: no node of the Ray cluster has that much; "
                f"all of them together have {_text(found)}"
            )
        if room < self.processes:
            raise UserError(
                f"--resource processes={self.processes}: the Ray cluster has room for {room} such "
                "tasks; ask for fewer, or for less of a node"
            )
        return self.workers or room // self.processes

    @property
    def platform(self) -> machine.Platform:
        asked = any(name == "num_gpus" or name.startswith("TPU") for name in self.resources)
        return "accelerator" if asked else "cpu"

    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        self._connect()
        task = self._task(throughput.curves)
        found: Sequence[Curve] = ray.get(task.remote(wanted, self.slot(site)))
        return found

    def train(
        self, site: Site, populations: Sequence[Population], watch: Callable[[Event], None]
    ) -> bool:
        self._connect()
        here = Path.cwd()
        tasks = Tasks(
            start=lambda population: self._start(site, population, here),
            places=lambda: self.workers or self._held() // self.processes,
            log=site.folder / LOG,
            watch=watch,
            waiting=deque(tuple(map(_anywhere, population)) for population in populations),
        )
        return tasks.run()

    def slot(self, site: Site) -> Slot:
        return Slot(site.cache, log=None, kind=f"ray {_text(self.resources)}")

    def _start(self, site: Site, population: Population, here: Path) -> Started:
        """Start the training of a population, by one task or by several together."""
        if self.processes == 1:
            return Started([self._task(_train).remote(population, self.slot(site), here)])
        meeting, task = ray.remote(num_cpus=0)(_Meeting).remote(), self._task(_train_together)
        group = ray.util.placement_group([self._asked] * self.processes, strategy="PACK")
        place = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
        tasks = [
            task.options(scheduling_strategy=place(group, process)).remote(
                population, site, here, meeting, self.processes, process
            )
            for process in range(self.processes)
        ]
        return Started(tasks, group)

    @property
    def _asked(self) -> dict[str, float]:
        """The resources of a task, by the names of a node."""
        return {BUILT_IN.get(name, name): value for name, value in self.resources.items()}

    def _task(self, function: Callable[..., Any]) -> Any:
        """The function as a task that Ray never retries: the sweep knows when its runs are free."""
        names = BUILT_IN.keys() & self.resources.keys()
        cores = max(1, round(self.resources["num_cpus"]))
        environment = {"NPROC": str(cores)}  # XLA's threads on a CPU
        if self.platform == "cpu":
            environment["JAX_PLATFORMS"] = "cpu"  # the accelerator belongs to other tasks
        return ray.remote(
            **{name: self.resources[name] for name in names},
            resources={name: self.resources[name] for name in self.resources.keys() - names},
            runtime_env={"env_vars": environment},
            max_retries=0,
            max_calls=CALLS[self.platform] if self.processes == 1 else 1,
        )(function)

    def _held(self) -> int:
        """The number of tasks that the live nodes have the resources for."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(
            min(int(node.get(name, 0) / value) for name, value in self._asked.items())
            for node in nodes
        )

    def _connect(self) -> None:
        """Connect once per process; Ray disconnects at exit, and ends an instance it started."""
        if ray.is_initialized():
            return
        where: dict[str, Any] = {"address": self.address}
        if self.address == LOCAL:
            where |= {"num_cpus": len(machine.cores()), "include_dashboard": False}
        before = signal.getsignal(signal.SIGTERM)
        try:
            _check_answer(self.address)
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            what, *_ = str(error).splitlines()
            raise UserError(f"--resource address={self.address}: no Ray cluster: {what}") from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray's handler ends the process at once


def launcher(workers: int | None, resources: Mapping[str, str]) -> Ray:
    asked = {"address": LOCAL, "processes": "1", "num_cpus": "1", **resources}
    address, processes = asked.pop("address"), asked.pop("processes")
    if not processes.isdecimal() or processes == "0":
        raise UserError(f"--resource processes={processes}: must be a whole number of at least 1")
    amounts = {name: _amount(name, text) for name, text in asked.items()}
    return Ray(workers, address, amounts, int(processes))


def _amount(name: str, text: str) -> float:
    """An amount as Ray counts: a share of one, or a whole number."""
    for option, resource in BUILT_IN.items():
        if name == resource != option:
            raise UserError(f"--resource {name}: write it as {option}={text}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 < value <= 1 or (value > 1 and value.is_integer()):
        return value
    raise UserError(f"--resource {name}={text}: must be a share of one, or a whole number")


def _check_answer(address: str) -> None:
    """Check that HOST:PORT answers; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT).close()


def _anywhere(job: Job) -> Job:
    return replace(job, folder=job.folder.absolute())


def _text(resources: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in sorted(resources.items()))


def _train(population: Population, slot: Slot, here: Path) -> UserError | None:
    """The task: train a population; its value is the user's error, or None.

    Ray cancels it by KeyboardInterrupt in the main thread, as Python does on SIGINT. This handler
    takes it without an exception in the middle of a save.
    """
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        os.chdir(here)  # for the study's relative paths
        train_here(population, slot, lambda: bool(asked))
    except UserError as error:
        return error
    finally:
        signal.signal(signal.SIGINT, before)
    return None


class _Meeting:
    """An actor that holds the coordinator's address, written by process 0."""

    def __init__(self) -> None:
        self._written, self._where = asyncio.Event(), ""

    async def write(self, where: str) -> None:
        self._where = where
        self._written.set()

    async def read(self) -> str:
        await self._written.wait()
        return self._where


def _train_together(
    population: Population, site: Site, here: Path, meeting: Any, processes: int, process: int
) -> UserError | None:
    """The task of one of several processes: train a population with the others, as in a group."""
    from experiments.devices.multihost import Meeting
    from experiments.launchers.group import Group

    os.chdir(here)
    if process == 0:
        with socket.create_server(("", 0)) as free:
            where = f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"
        ray.get(meeting.write.remote(where))
    group = Group(Meeting(ray.get(meeting.read.remote()), processes, process))
    mistakes: list[UserError] = []

    def command() -> int:
        try:
            return 0 if group.train(site, [population], lambda event: None) else AGAIN
        except UserError as error:
            mistakes.append(error)
            return AGAIN

    group.carry_out(command)
    return mistakes[0] if mistakes else None
