"""A worker process: trains one population after the other, and sends events.

One pipe joins it to the sweep: populations come in, events and at most one `UserError` go out.
SIGINT and SIGTERM ask it to save a checkpoint and to end.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from experiments import record
from experiments.data import Corpora
from experiments.devices.machine import use_compilation_cache
from experiments.devices.signals import handle_stop_signals
from experiments.devices.slot import Slot, prepare
from experiments.record import ENDED, FINISHED, Status
from experiments.runs.branch_point import take_over
from experiments.runs.claim import ClaimLostError, take
from experiments.runs.job import Event, Job, Population
from experiments.runs.quarantine import quarantine
from scaling.common.errors import UserError

log = logging.getLogger(__name__)

Train = Callable[[Population, Corpora, Callable[[Event], None], Callable[[], bool]], None]


def work(pipe: Connection, slot: Slot) -> None:
    """The main function: ends on None from the pipe, on a stop signal, or when its parent exits."""
    asked: list[int] = []
    handle_stop_signals(asked.append)
    try:
        prepare(slot)
        use_compilation_cache(slot.cache)
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
            with _contained(job, watch):
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
        except ClaimLostError as error:
            for job in free:  # the last event of each, from its record
                study = job.folder.parent
                if not (study / record.STUDY).exists() and not any(job.folder.glob("claim.*")):
                    raise UserError(
                        f"{study}: moved or removed while its runs were trained; continue with "
                        "--out and the place where it is now"
                    ) from error
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


@contextlib.contextmanager
def _contained(job: Job, watch: Callable[[Event], None]) -> Iterator[None]:
    """An error in here ends this run as failed, and no other."""
    from experiments.runs.summary import NOT_OF_A_RUN, fail

    try:
        yield
    except NOT_OF_A_RUN:
        raise
    except Exception as error:  # noqa: BLE001 - of any kind: it is the run's own
        fail(job, error, watch)


def _attempt(
    population: Population,
    corpora: Corpora,
    watch: Callable[[Event], None],
    interrupted: Callable[[], bool],
    train: Train,
) -> None:
    """Train a population; halve one that exceeds the machine or fails, down to single runs."""
    from experiments.runs.summary import NOT_OF_A_RUN

    if len(population) == 1:
        with _contained(population[0], watch):
            train(population, corpora, watch, interrupted)
        return
    try:
        train(population, corpora, watch, interrupted)
        return
    except NOT_OF_A_RUN:
        raise
    except Exception:
        log.exception("a population of %d failed, and is tried in halves", len(population))
    # out here, where no trace holds the population's arrays
    left = tuple(job for job in population if record.run_status(job.folder) not in ENDED)
    half = len(left) // 2
    for part in filter(None, (left[:half], left[half:])):
        _attempt(part, corpora, watch, interrupted, train)
