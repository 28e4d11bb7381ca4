"""The trainer: the runs of a population from their configs to their records; interruptible.

Metrics never stop the device. While one dispatch runs, the trainer writes the metrics of the last
one, and the loader's thread gathers the next batches. One run is a population of one, by a program
without the axis of members.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from experiments.data import Corpora, chunks
from experiments.devices.auto_layout import choose
from experiments.devices.multihost import ask
from experiments.devices.peer_memory import PeerMemory
from experiments.record import Status
from experiments.runs.job import Event, Job
from experiments.training.derived import taught
from experiments.training.populations.member import Member
from experiments.training.populations.programs import Programs, programs
from experiments.training.step import Metrics, TrainState, recipe
from scaling.machines.chips import GIB, of_device

Late = tuple[list[int], Metrics]  # of a dispatch under way: each member's first step, metrics


def train(
    job: Job,
    corpora: Corpora,
    *,
    watch: Callable[[Event], None] = lambda event: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Status:
    """Train one run: a population of one."""
    return train_population([job], corpora, watch=watch, interrupted=interrupted)[0]


def train_population(
    jobs: Sequence[Job],
    corpora: Corpora,
    *,
    watch: Callable[[Event], None] = lambda event: None,
    interrupted: Callable[[], bool] = lambda: False,
    memory: PeerMemory | None = None,
) -> list[Status]:
    """Train runs of one recipe together, from their checkpoints if any; write the records.

    Every process of a group calls this alike; an interrupt of one stops all.

    Returns:
        for each run COMPLETED, DIVERGED or, among others, FAILED by an error of its own, as in its
        summary; STARTED after `interrupted`, with a checkpoint saved and no summary.
    """
    jobs = [settle(job, watch, len(jobs)) for job in jobs]
    made = taught(jobs[0], recipe(jobs[0].run.config))
    with ExitStack() as stack:
        mixtures = [corpora.mixture(job.run.config.science.data) for job in jobs]
        members = [
            stack.enter_context(Member(job, mixture, watch, members=len(jobs), memory=memory))
            for job, mixture in zip(jobs, mixtures, strict=True)
        ]
        place = programs(made, len(jobs)).place
        states: list[TrainState] = []
        for k, member in enumerate(members):
            with member.contained():
                state = place(member.restore(programs(made)), k)
                if member.step == member.total:  # interrupted just before its validation
                    member.finish(programs(made), state)
                else:
                    states.append(state)
                del state  # the loop owns the only references
        population = [member for member in members if member.is_active]
        if population:
            _Loop(population, programs(made, len(population)), interrupted).run(states)
        return [member.status for member in members]


def settle(job: Job, watch: Callable[[Event], None], members: int = 1) -> Job:
    """The job with an `auto` layout settled for JAX's devices; `watch` gets the choice and reason.

    Raises:
        UserError: no layout fits, or `scaling.machines.chips` lacks the devices' kind.
    """
    config = job.run.config
    if config.execution.layout.name != "auto":
        return job
    devices = jax.devices()
    choice = choose(config, of_device(devices[0].device_kind), len(devices), members)
    best = choice.best
    why = f"{best.bytes / GIB:.1f} GiB a device, bound by {best.roofline.bound}"
    if choice.others:
        slower = choice.others[0].roofline.seconds / best.roofline.seconds
        why += f"; next best {choice.others[0].name}, {slower:.2f} times the step"
    note = f"{job.run.run_id}: layout {best.name}, microbatch {best.step.microbatch}: {why}"
    watch(Event(job.run.run_id, "compiling", note=note))
    program = config.execution.program
    if best.layout.sequence > 1:
        program = replace(program, attention=best.step.attention)
    execution = replace(
        config.execution, program=program, layout=best.layout, microbatch=best.step.microbatch
    )
    return replace(job, run=replace(job.run, config=replace(config, execution=execution)))


@dataclass
class _Loop:
    """The loop over dispatches."""

    population: Sequence[Member]
    compiled: Programs
    interrupted: Callable[[], bool]
    late: Late | None = field(default=None, init=False)

    def run(self, states: list[TrainState]) -> None:
        """Step until every member has ended, or an interrupt has saved its checkpoint."""
        first = self.population[0]
        execution, memory = first.job.run.config.execution, first.memory
        hypers = self.compiled.join([member.hypers for member in self.population])
        state = self.compiled.join(states)
        states.clear()
        saved = time.monotonic()

        def is_due() -> bool:
            return time.monotonic() - saved > execution.checkpoint_seconds

        def is_sending() -> bool:
            return memory is not None and memory.is_sending()

        for member in self.population:
            member.members = len(self.population)
        for batches in self._batches(execution.steps_per_dispatch):
            starts = [member.step for member in self.population]
            passed = [member.advance(execution.steps_per_dispatch) for member in self.population]
            answer = ask(self.interrupted, is_due, is_sending)
            state, metrics = self.compiled.chunk(state, hypers, batches)
            self._fetch()
            self.late = starts, metrics
            stop, due, sending = answer()
            copied = not sending and memory is not None and memory.is_due(starts[0], first.step)
            ended = [member.is_active and member.step == member.total for member in self.population]
            permanent = any(member.is_active and member.is_permanent for member in self.population)
            if stop or due or copied or permanent or any(passed) or any(ended):
                self._fetch()
            for k, member in enumerate(self.population):
                if not member.is_active:
                    continue
                with member.contained():
                    if passed[k]:
                        member.evaluate(self.compiled, self.compiled.part(state, k))
                    if stop or due or member.is_permanent:
                        member.save(self.compiled.part(state, k))
                    if copied and not stop and not ended[k]:
                        member.copy(self.compiled.part(state, k))
                    if stop:
                        member.tell(Status.STARTED)
                    elif ended[k]:
                        member.finish(self.compiled, self.compiled.part(state, k))
            if due:
                saved = time.monotonic()
            if stop or not any(member.is_active for member in self.population):
                return

    def _batches(self, steps: int) -> Iterator[Any]:
        """Batches [S, B, T+1] of each member, joined, without end; past a member's end any batch.

        Members of equal data, seed and step share a stream.
        """
        sciences = [member.job.run.config.science for member in self.population]
        keys = [(s.data, s.seed, m.step) for s, m in zip(sciences, self.population, strict=True)]
        batch = sciences[0].batch
        streams = {
            key: chunks(
                member.mixture.train,
                seed=key[1],
                sequences=batch.sequences,
                seq_len=batch.seq_len,
                start_step=key[2],
                stop_step=max(
                    s.steps for s, other in zip(sciences, keys, strict=True) if other == key
                ),
                steps_per_chunk=steps,
            )
            for key, member in dict(zip(keys, self.population, strict=True)).items()
        }
        latest: dict[Hashable, np.ndarray] = {}
        while True:
            for key, stream in streams.items():
                latest[key] = next(stream) if key not in latest else next(stream, latest[key])
            yield self.compiled.join([latest[key] for key in keys])

    def _fetch(self) -> None:
        """Write every member's rows of the dispatch before."""
        if self.late is None:
            return
        (starts, metrics), self.late = self.late, None
        values = {name: np.atleast_2d(np.asarray(value)) for name, value in metrics.items()}
        for k, (member, start) in enumerate(zip(self.population, starts, strict=True)):
            if member.is_active:
                with member.contained():
                    member.take(start, {name: value[k] for name, value in values.items()})
