"""Ray tasks: each population is one, with the resources that were asked for, anywhere in a cluster.

The nodes share a file system with this machine: the study's folder and the cache are at the same
paths on all, and the progress of a run is read from its record. With `processes` above 1, as many
tasks train a run together (`experiments.launchers.group`). A placement group holds the resources of
all of them: none starts before all can.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments import record
from experiments.config.run import RunConfig
from experiments.devices import machine
from experiments.devices.signals import on_stop_signal
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.launchers._pool import ATTEMPTS
from experiments.launchers._worker import give_up, train_here
from experiments.launchers.local import LOG
from experiments.record import AGAIN, FINISHED, Status
from experiments.runs.claim import is_claimed
from experiments.runs.job import Event, Job, Population
from experiments.runs.watch import Follower
from experiments.training.populations import throughput
from experiments.training.populations.grouping import Curve
from scaling.common.errors import UserError
from scaling.common.extras import import_extra

# Read by Ray when it is imported: it sends nothing anywhere, and leaves the terminal to the sweep
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
ray = import_extra("ray", "ray", "--launcher ray")
from ray.util.placement_group import (  # noqa: E402
    PlacementGroup,
    placement_group,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: E402

LOCAL = "local"  # the address of an instance that this process starts
# as a task asks for it: as a node has it
BUILT_IN = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
# How many tasks a process serves: an accelerator is let go only by the end of who opened it
CALLS = {"cpu": 0, "accelerator": 1}  # 0: all
PARTING = 60.0  # seconds that the other tasks of a run have to end in
CONNECT = 10.0  # seconds to wait for a cluster to answer
LOOK = 1.0  # seconds between two looks at the records


@dataclass(frozen=True)
class Ray(Launcher):
    """Tasks that ask for the same resources each."""

    workers: int | None  # at once; None: as many as the nodes have the resources for
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
        tasks = _Tasks(
            start=lambda population: self._start(site, population, here),
            places=lambda: self.workers or self._held() // self.processes,
            log=site.folder / LOG,
            watch=watch,
            waiting=deque(tuple(map(_anywhere, population)) for population in populations),
        )
        return tasks.run()

    def slot(self, site: Site) -> Slot:
        return Slot(site.cache, log=None, kind=f"ray {_text(self.resources)}")

    def _start(self, site: Site, population: Population, here: Path) -> _Started:
        """Have a population trained, by one task or by several together."""
        if self.processes == 1:
            return _Started([self._task(_train).remote(population, self.slot(site), here)])
        meeting, task = ray.remote(num_cpus=0)(_Meeting).remote(), self._task(_train_together)
        group = placement_group([self._asked] * self.processes, strategy="PACK")
        tasks = [
            task.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, process)
            ).remote(population, site, here, meeting, self.processes, process)
            for process in range(self.processes)
        ]
        return _Started(tasks, group)

    @property
    def _asked(self) -> dict[str, float]:
        """The resources of a task, by the names of a node."""
        return {BUILT_IN.get(name, name): value for name, value in self.resources.items()}

    def _task(self, function: Callable[..., Any]) -> Any:
        """The function as a task, which Ray never tries again: we know when its runs are free."""
        names = BUILT_IN.keys() & self.resources.keys()
        cores = max(1, round(self.resources["num_cpus"]))
        environment = {"NPROC": str(cores)}  # how many threads XLA computes with on a CPU
        if self.platform == "cpu":
            environment["JAX_PLATFORMS"] = "cpu"  # not the accelerator that others asked for
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
        """Once per process; Ray disconnects at its end, and ends an instance that it started."""
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
            signal.signal(signal.SIGTERM, before)  # Ray's own ends the process there and then


def launcher(workers: int | None, resources: Mapping[str, str]) -> Ray:
    asked = {"address": LOCAL, "processes": "1", "num_cpus": "1", **resources}
    address, processes = asked.pop("address"), asked.pop("processes")
    if not processes.isdecimal() or processes == "0":
        raise UserError(f"--resource processes={processes}: must be a whole number of at least 1")
    amounts = {name: _amount(name, text) for name, text in asked.items()}
    return Ray(workers, address, amounts, int(processes))


def _amount(name: str, text: str) -> float:
    """As Ray counts: shares of one, or whole ones."""
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
    """Somebody listens at HOST:PORT; Ray itself would try for minutes before it says no."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT).close()


def _anywhere(job: Job) -> Job:
    return replace(job, folder=job.folder.absolute())


def _text(resources: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in sorted(resources.items()))


def _train(population: Population, slot: Slot, here: Path) -> UserError | None:
    """The task: train a population; what is wrong is its value.

    Ray cancels it by raising KeyboardInterrupt in the main thread, the way that Python answers
    SIGINT. This handler takes it without an exception in the middle of a save.
    """
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        os.chdir(here)  # what the study names by a relative path
        train_here(population, slot, lambda: bool(asked))
    except UserError as error:
        return error
    finally:
        signal.signal(signal.SIGINT, before)
    return None


@dataclass(frozen=True)
class _Started:
    """The tasks of a population, the first of which says how it ended, and their resources.

    A placement group is placed as a whole, so no task starts before all can.
    """

    tasks: Sequence[Any]
    group: PlacementGroup | None = None

    def cancel(self, *, force: bool) -> None:
        for task in self.tasks:
            ray.cancel(task, force=force)

    def release(self, patience: float) -> None:
        """Give the resources back; tasks still running after `patience` seconds are ended."""
        if self.group is not None:
            ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=patience)
            remove_placement_group(self.group)


class _Meeting:
    """An actor to which process 0 writes the address at which all meet."""

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
    """The task of one of several processes: train a population with the others, as a group does."""
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


@dataclass
class _Tasks:
    """The populations that wait and the tasks under way."""

    start: Callable[[Population], _Started]
    places: Callable[[], int]
    log: Path
    watch: Callable[[Event], None]
    waiting: deque[Population]
    under_way: dict[Any, tuple[Population, _Started]] = field(
        default_factory=dict
    )  # by the first task
    died: Counter[str] = field(default_factory=Counter)  # times that a run's worker died under it
    errors: list[UserError] = field(default_factory=list)
    stopped: bool = False

    def run(self) -> bool:
        """As `_pool.train_all`, with tasks for workers."""
        follower = Follower(self.watch)
        with on_stop_signal(self.stop):
            try:
                while (self.waiting or self.under_way) and not self.stopped:
                    self._hand_out()
                    self._listen(follower)
                for _, started in self.under_way.values():
                    started.cancel(force=False)  # a task that trains saves a checkpoint
                while self.under_way:
                    self._listen(follower)
            finally:
                for _, started in self.under_way.values():  # none, but on an error
                    started.cancel(force=True)
                    started.release(0)
        if self.errors:
            raise self.errors[0]
        return not self.stopped

    def stop(self) -> None:
        self.stopped = True

    def _hand_out(self) -> None:
        """Start the populations that come next, but none whose runs are all claimed.

        Another sweep has those, or they are a dead node's and their claims not yet stale.
        """
        room = self.places() - len(self.under_way)
        for population in list(self.waiting):
            if room < 1:
                return
            if all(is_claimed(job.folder) for job in population):
                continue
            self.waiting.remove(population)
            if any(self.died[job.run.run_id] == ATTEMPTS for job in population):
                self._give_up(*population)
            else:
                started = self.start(population)
                self.under_way[started.tasks[0]] = population, started
                room -= 1

    def _listen(self, follower: Follower) -> None:
        """Tell what is new, and see to the tasks that have ended."""
        if not self.under_way:
            time.sleep(LOOK)
            return
        ended, _ = ray.wait(list(self.under_way), timeout=LOOK)
        for population, _ in self.under_way.values():
            follower.look(job for job in population if is_claimed(job.folder))
        for task in ended:
            population, started = self.under_way.pop(task)
            started.release(PARTING)
            self._settle(task, population)
            follower.look(population)

    def _settle(self, task: Any, population: Population) -> None:
        """See what has become of a task, and put back what it left.

        A node may die, or be taken away, as often as it likes. The death of a worker may be the
        doing of its runs: each is tried again alone, and not for ever.
        """
        left = tuple(job for job in population if record.run_status(job.folder) not in FINISHED)
        try:
            if (mistake := ray.get(task)) is not None:
                self._fail(mistake)
        except ray.exceptions.TaskCancelledError:
            pass
        except ray.exceptions.RayTaskError as error:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{error}\n")
            self._fail(
                UserError("a worker failed; the end of workers.log in the study's folder says why")
            )
        except ray.exceptions.NodeDiedError:
            self._put_back(left, "its node died")
        except ray.exceptions.RayError:
            for job in left:
                self.died[job.run.run_id] += 1
                self._put_back((job,), "its worker died")

    def _fail(self, error: UserError) -> None:
        self.errors.append(error)
        self.stop()

    def _put_back(self, population: Population, why: str) -> None:
        for job in population:
            run_id = job.run.run_id
            self.watch(Event(run_id, Status.STARTED, note=f"{run_id}: {why}"))
        if population:
            self.waiting.appendleft(population)

    def _give_up(self, job: Job) -> None:
        why = f"its worker died {ATTEMPTS} times, perhaps for want of memory"
        give_up(job, f"{why}; ask for more of a node with --resource")
        self.watch(Event(job.run.run_id, Status.FAILED))
