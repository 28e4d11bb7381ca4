"""A group of processes that train every run together: one program over all their devices.

Every process runs the same command. All machines see the study's folder and the cache at the same
paths. Process 0 carries the command out: it claims runs, writes their records and broadcasts the
next population. The others train along and end with its exit code. One failure ends all; the same
command continues from the last checkpoints. With `copy_steps` each command is a keeper beside its
process (`experiments.launchers._keeper`): a failure ends no command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import jax

from experiments.config.run import RunConfig
from experiments.data import Corpora
from experiments.devices import machine
from experiments.devices.machine import use_compilation_cache
from experiments.devices.multihost import Meeting, hear, leads, tell
from experiments.devices.peer_memory import PeerMemory
from experiments.devices.signals import on_stop_signal
from experiments.devices.slot import Slot
from experiments.launchers import Launcher, Site
from experiments.launchers import _worker as worker
from experiments.launchers._keeper import Keeper
from experiments.record import AGAIN, Status
from experiments.runs.job import Event, Job, Population
from experiments.training.populations.grouping import ALONE, Curve
from experiments.training.step import recipe
from experiments.training.trainer import settle, train_population
from scaling.common.command_line import exit_code
from scaling.common.errors import UserError, nearest
from scaling.machines.layout import KINDS

FIELDS = ("coordinator", "processes", "process", "copy_steps", "keeper")


@dataclass
class Group(Launcher):
    """One place: all the devices."""

    meeting: Meeting
    copy_steps: int | None = None  # between copies in the memory of keepers
    keeper: int | None = None  # the port of this process's keeper
    _memory: PeerMemory | None = field(default=None, init=False)
    _is_training: bool = field(default=False, init=False)  # True after an error in training too

    @property
    def places(self) -> int:
        return 1

    @property
    def platform(self) -> machine.Platform:
        return machine.platform()

    def slot(self, site: Site) -> Slot:
        return Slot(site.cache, log=None, kind="group")

    def measure(self, site: Site, wanted: Sequence[tuple[RunConfig, int]]) -> Sequence[Curve]:
        """Every run alone, on all devices."""
        return [ALONE for _ in wanted]

    def carry_out(self, command: Callable[[], int]) -> int:
        """Run the command in process 0, and its populations in the others; one exit code for all.

        If process 0 fails during a run, JAX ends the others.
        """
        if self.copy_steps is not None and self.keeper is None:
            return _keeper(self.meeting).carry_out([sys.executable, *sys.orig_argv[1:]])
        self.meeting.join()
        if self.copy_steps is not None and self.keeper is not None:
            self._memory = PeerMemory(self.keeper, self.copy_steps)
        if not leads():
            return _follow(self._memory)
        code = AGAIN
        try:
            code = exit_code(command)
        finally:
            if not self._is_training:
                tell(code)
        return code

    def train(
        self, site: Site, populations: Sequence[Population], watch: Callable[[Event], None]
    ) -> bool:
        """See `Launcher.train`; False also where a run failed on the machine."""
        slot, asked = self.slot(site), list[bool]()
        use_compilation_cache(slot.cache)
        corpora = Corpora(slot.cache)
        for job in (
            job for population in populations for job in population
        ):  # before the others train along
            _check(job)
            corpora.mixture(job.run.config.science.data)

        def together(
            population: Population,
            corpora: Corpora,
            watch: Callable[[Event], None],
            interrupted: Callable[[], bool],
        ) -> None:
            self._is_training = True
            tell((population, slot))
            stands = train_population(
                population, corpora, watch=watch, interrupted=interrupted, memory=self._memory
            )
            self._is_training = False
            if Status.STARTED in stands:  # interrupted, in any process
                asked.append(True)

        def stop() -> bool:
            asked.append(True)
            return self._is_training

        with on_stop_signal(stop):
            for population in populations:
                absolute = tuple(replace(job, folder=job.folder.absolute()) for job in population)
                worker.attend(absolute, corpora, watch, lambda: bool(asked), together)
                if asked or self._is_training:
                    return False
        return True


def launcher(workers: int | None, resources: Mapping[str, str]) -> Group:
    if workers is not None:
        raise UserError(f"--workers {workers}: a group trains one run at a time; leave it out")
    for name in resources:
        if name not in FIELDS:
            raise UserError(f"--resource {name}: {nearest(name, FIELDS)}")
    numbers = {name: _number(name, resources[name]) for name in FIELDS[1:] if name in resources}
    own = {name: numbers.pop(name) for name in FIELDS[3:] if name in numbers}
    made = Group(Meeting(resources.get("coordinator"), **numbers), **own)
    if made.copy_steps is not None and (made.copy_steps < 1 or len(numbers) < 2):
        raise UserError(
            f"--resource copy_steps={made.copy_steps}: 1 or more, with coordinator=HOST:PORT, "
            "processes=N and process=I, by which the keepers meet"
        )
    return made


def _keeper(meeting: Meeting) -> Keeper:
    assert meeting.coordinator and meeting.processes and meeting.process is not None
    host, _, port = meeting.coordinator.rpartition(":")
    return Keeper((host, int(port)), meeting.processes, meeting.process)


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"--resource {name}={text}: expected a whole number")
    return int(text)


def _check(job: Job) -> None:
    """Raise a UserError unless the job's layout suits these devices."""
    config = job.run.config
    if config.execution.layout.name == "single" and jax.process_count() > 1:
        raise UserError(
            f"execution.layout.name=single: {jax.process_count()} processes train a run together; "
            f"set it to one of {', '.join(KINDS)}"
        )
    recipe(settle(job, lambda event: None).run.config)


def _follow(memory: PeerMemory | None) -> int:
    """Train the populations that process 0 broadcasts, until it broadcasts an exit code."""
    asked: list[bool] = []
    corpora = cache(Corpora)

    def stop() -> bool:
        asked.append(True)
        return True

    with on_stop_signal(stop):
        while not isinstance(message := hear(), int):
            population, slot = message
            use_compilation_cache(slot.cache)
            try:
                train_population(
                    population,
                    corpora(slot.cache),
                    interrupted=lambda: bool(asked),
                    memory=memory,
                )
            except jax.errors.JaxRuntimeError as error:
                reason = str(error).splitlines()[0]
                print(f"process {jax.process_index()}: {reason}", file=sys.stderr)
                return AGAIN
    return int(message)
