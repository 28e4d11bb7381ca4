"""A worker process: trains one population after the other, and sends events.

One pipe joins it to the sweep: populations come in, events and at most one `UserError` go out.
SIGINT and SIGTERM ask it to save a checkpoint and to end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from multiprocessing.connection import Connection

from experiments import record
from experiments.data import Corpora
from experiments.devices.machine import use_compilation_cache
from experiments.devices.signals import handle_stop_signals
from experiments.devices.slot import Slot, prepare
from experiments.record import FINISHED, Status
from experiments.runs.branch_point import take_over
from experiments.runs.claim import ClaimLostError, take
from experiments.runs.job import Event, Job, Population
from experiments.runs.quarantine import quarantine
from scaling.common.errors import UserError

Train = Callable[[Population, Corpora, Callable[[Event], None], Callable[[], bool]], None]


def work(pipe: Connection, slot: Slot) -> None:
    """The main function: ends on None from the pipe, on a stop signal, or when its parent exits."""
    asked: list[int] = []
    handle_stop_signals(asked.append)
    prepare(slot)
    use_compilation_cache(slot.cache)
    try:
        corpora = Corpora(slot.cache)
        while not asked and (population := pipe.recv()) is not None:
            attend(population, corpora, pipe.send, lambda: bool(asked))
    except UserError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass  # the sweep is gone


def train_here(population: Population, slot: Slot, interrupted: Callable[[], bool]) -> None:
    """Train one population in this process, for launchers whose engine starts the processes.

    A run unfinished at the return belongs to another worker, or was interrupted.
    """
    prepare(slot)
    use_compilation_cache(slot.cache)
    attend(population, Corpora(slot.cache), lambda event: None, interrupted)


def _train(
    population: Population,
    corpora: Corpora,
    watch: Callable[[Event], None],
    interrupted: Callable[[], bool],
) -> None:
    from experiments.training import trainer

    trainer.train_population(population, corpora, watch=watch, interrupted=interrupted)


def attend(
    population: Population,
    corpora: Corpora,
    watch: Callable[[Event], None],
    interrupted: Callable[[], bool],
    train: Train = _train,
) -> None:
    """Train the runs of a population that no other worker has claimed or finished."""
    with contextlib.ExitStack() as held:
        claims, free = [], []
        for job in population:
            claim = take(job.folder)
            if claim is None:
                watch(Event(job.run.run_id, Status.STARTED))
                continue
            claims.append(held.enter_context(claim))
            if (status := record.run_status(job.folder)) in FINISHED:
                watch(Event(job.run.run_id, status, job.run.config.science.steps))
                continue
            _tidy(job, watch)
            free.append(job)

        def check() -> None:
            for claim in claims:
                claim.check()

        def stop() -> bool:
            check()
            return interrupted()

        def tell(event: Event) -> None:  # after a long pause the claim may be lost
            check()
            watch(event)

        if not free:
            return
        try:
            _attempt(tuple(free), corpora, tell, stop, train)
        except ClaimLostError:
            for job in free:  # the last event of each, from its record
                watch(Event(job.run.run_id, record.run_status(job.folder)))


def give_up(job: Job, why: str) -> None:
    """Record a run as failed because its workers died, unless another worker has it."""
    from experiments.runs.summary import write_failure

    claim = take(job.folder)
    if claim is not None:
        with claim:
            if record.run_status(job.folder) not in FINISHED:
                write_failure(job, why)


def _tidy(job: Job, watch: Callable[[Event], None]) -> None:
    """Clean the folder after an earlier attempt: damage, scratch files, a failure's summary."""
    if (damage := quarantine(job.folder)) is not None:
        watch(Event(job.run.run_id, "compiling", note=damage))
    (job.folder / record.SUMMARY).unlink(missing_ok=True)  # of an attempt that failed
    for scratch in job.folder.glob(f"*{record.SCRATCH}"):
        scratch.unlink()
    if (reason := take_over(job)) is not None:
        watch(Event(job.run.run_id, "compiling", note=reason))


def _attempt(
    population: Population,
    corpora: Corpora,
    watch: Callable[[Event], None],
    interrupted: Callable[[], bool],
    train: Train,
) -> None:
    """Train a population; halve one that exceeds the machine, down to single runs."""
    from jax.errors import JaxRuntimeError

    from experiments.runs.summary import write_failure

    try:
        train(population, corpora, watch, interrupted)
        return
    except JaxRuntimeError as error:  # of the machine, such as too little memory
        message = str(error)  # the text alone: the trace holds the population's arrays
    if len(population) == 1:
        write_failure(population[0], message)
        watch(Event(population[0].run.run_id, Status.FAILED))
        return
    left = tuple(job for job in population if record.run_status(job.folder) not in FINISHED)
    half = len(left) // 2
    for part in filter(None, (left[:half], left[half:])):
        _attempt(part, corpora, watch, interrupted, train)
