"""Ray tasks of a sweep: start them by population, follow their records, and settle their ends."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import record
from experiments.devices.signals import on_stop_signal
from experiments.launchers._pool import ATTEMPTS
from experiments.launchers._worker import give_up
from experiments.record import FINISHED, Status
from experiments.runs.claim import is_claimed
from experiments.runs.job import Event, Job, Population
from experiments.runs.watch import Follower
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

# Ray reads these at import: no usage statistics, and the terminal is the sweep's
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
ray = import_extra("ray", "ray", "--launcher ray")

LOOK = 1.0  # seconds between two looks at the records
PARTING = 60.0  # seconds that the other tasks of a run have to end in


@dataclass(frozen=True)
class Started:
    """Tasks of a population and their resources; the first task returns its end.

    A placement group is placed as a whole, so no task starts before all can.
    """

    tasks: Sequence[Any]
    group: Any = None  # the placement group of several

    def cancel(self, *, force: bool) -> None:
        for task in self.tasks:
            ray.cancel(task, force=force)

    def release(self, patience: float) -> None:
        """Free the resources; tasks still running after `patience` seconds are ended."""
        if self.group is not None:
            ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=patience)
            ray.util.remove_placement_group(self.group)


@dataclass
class Tasks:
    """Waiting populations and the tasks under way."""

    start: Callable[[Population], Started]
    places: Callable[[], int]
    log: Path
    watch: Callable[[Event], None]
    waiting: deque[Population]
    # by the first task
    under_way: dict[Any, tuple[Population, Started]] = field(default_factory=dict)
    died: Counter[str] = field(default_factory=Counter)  # times that a run's worker died under it
    errors: list[UserError] = field(default_factory=list)
    stopped: bool = False

    def run(self) -> bool:
        """As `_pool.train_all`, with tasks for workers."""
        follower = Follower(self.watch)
        with on_stop_signal(self.stop):
            try:
                while (self.waiting or self.under_way) and not self.stopped:
                    self._hand_out(follower)
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

    def stop(self) -> bool:
        """Start no more tasks; True if one trains, and saves."""
        self.stopped = True
        return bool(self.under_way)

    def _hand_out(self, follower: Follower) -> None:
        """Start the next populations, without those that are wholly claimed.

        Another sweep trains these, or a dead node did and its claims are not stale yet.
        """
        room = self.places() - len(self.under_way)
        for population in list(self.waiting):
            if room < 1:
                return
            if all(is_claimed(job.folder) for job in population):
                follower.wait(population)
                continue
            self.waiting.remove(population)
            if any(self.died[job.run.run_id] == ATTEMPTS for job in population):
                self._give_up(*population)
            else:
                started = self.start(population)
                self.under_way[started.tasks[0]] = population, started
                room -= 1

    def _listen(self, follower: Follower) -> None:
        """Report news, and settle the tasks that have ended."""
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
        """Read how a task ended, and put its unfinished runs back.

        A node may die any number of times. A worker's death may come from its runs: each is
        retried alone, up to `ATTEMPTS` times.
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
