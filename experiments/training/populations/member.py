"""Host-side state of one run in a population: folder, writer, checkpoints and step.

A run trained alone is a population of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType

import jax
import numpy as np
from jax.errors import JaxRuntimeError

from experiments import record
from experiments.data import Mixture
from experiments.devices.multihost import leads
from experiments.devices.peer_memory import PeerMemory
from experiments.evaluation.task import (
    VALIDATION,
    Evaluations,
    evaluate,
    losses_by_source,
    numbers,
)
from experiments.plan.run import Derived
from experiments.record import Status
from experiments.runs.branch_point import forget
from experiments.runs.checkpoint import Checkpoints
from experiments.runs.job import Event, Job, Outcome, Phase
from experiments.runs.quarantine import move_aside
from experiments.runs.summary import NOT_OF_A_RUN, fail
from experiments.runs.writer import Writer
from experiments.training.derived import derived_state, teaching
from experiments.training.hypers import Hypers, hypers
from experiments.training.populations.programs import Programs
from experiments.training.populations.trained import Trained
from experiments.training.step import DIVERGED_BEYOND, TrainState, recipe
from scaling.common.errors import UserError

Values = dict[str, np.ndarray]  # the metrics of a dispatch: [S] each


@dataclass
class Member:
    """One run of a population; a context that closes its checkpoints."""

    job: Job
    mixture: Mixture
    watch: Callable[[Event], None]
    step: int = 0  # steps sent to the device
    status: Status = Status.STARTED
    members: int = 1  # of its population, itself included
    memory: PeerMemory | None = None  # of a group that outlives a killed process
    writer: Writer = field(init=False)
    _checkpoints: Checkpoints = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Member:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, value, tb)

    @cached_property
    def hypers(self) -> Hypers:
        return hypers(self.job.run.config.science, teaching(self.job))

    @property
    def total(self) -> int:
        return self.job.run.config.science.steps

    @property
    def is_active(self) -> bool:
        """True until its end; an ended member takes no more steps in the program."""
        return self.status is Status.STARTED

    @property
    def is_permanent(self) -> bool:
        """True if the checkpoint of this step is kept for good."""
        return self.step in self.job.run.config.execution.permanent

    @contextmanager
    def contained(self) -> Iterator[None]:
        """An error in here ends this run as failed, and no other of its population.

        It is raised where there is no other, or several processes must end together. An error of
        the machine is raised too: fewer members may fit.
        """
        try:
            yield
        except (*NOT_OF_A_RUN, JaxRuntimeError):
            raise
        except Exception as error:
            if self.members == 1 or jax.process_count() > 1:
                raise
            self._open.close()
            fail(self.job, error, self.watch)
            self.status = Status.FAILED

    def restore(self, compiled: Programs) -> TrainState:
        """Open the folder; the state of its latest checkpoint, or that before the first step."""
        self.tell("compiling")
        self.writer = Writer(self.job, self.mixture)
        self.writer.open()
        folder, execution = self.job.folder, self.job.run.config.execution
        self._checkpoints = self._open.enter_context(
            Checkpoints(folder / record.CHECKPOINTS, execution.keep, execution.permanent)
        )
        fresh = compiled.init(self.hypers)
        state = self._remembered(fresh) or self._checkpoints.restore(fresh, self._set_aside)
        begun = self.job.run.beginning
        if state is fresh and self.job.run.origin is not None and leads():
            forget(self.job)
            self.writer.open()
        if state is fresh and isinstance(begun, Derived):
            state = derived_state(self.job, begun, fresh)
        self.step = int(state.step)
        self.tell("compiling")
        self.writer.begin(self.step)
        return state

    def _remembered(self, fresh: TrainState) -> TrainState | None:
        """The state of a copy in memory that is newer than the latest checkpoint."""
        if self.memory is None:
            return None
        found = self.memory.restore(self._run_id, fresh, beyond=self._checkpoints.latest())
        if found is not None:
            note = f"{self._run_id}: goes on at step {int(found.step)} from memory"
            self.watch(Event(self._run_id, "compiling", note=note))
        return found

    def copy(self, state: TrainState) -> None:
        """Copy the state to the memory of other processes."""
        if self.memory is not None:
            self.memory.keep(self._run_id, self.step, state)

    def advance(self, steps: int) -> bool:
        """Advance by up to `steps`; True if an evaluation before the last came due."""
        before, self.step = self.step, min(self.step + steps, self.total)
        times = self.job.run.config.science.evaluation.times
        due = (round(self.total * i / times) for i in range(1, times))
        return any(before < at <= self.step < self.total for at in due)

    def take(self, start: int, values: Values) -> None:
        """Write the row of one dispatch, or the end of a run that diverged in it."""
        rows = min(len(values["loss"]), self.total - start)
        found = {name: value[:rows] for name, value in values.items()}
        diverged = np.flatnonzero(found.pop("diverged"))
        loss = found["loss"]
        if len(diverged):
            first = int(diverged[0])
            sign = (
                f"rose beyond {DIVERGED_BEYOND:g} times its start"
                if math.isfinite(loss[first])
                else "was not finite"
            )
            self._end(Outcome.diverged(start + first, sign, self.members))
            return
        self.writer.row(start + rows, rows, found)
        rate = self.writer.tokens_per_second
        self.watch(Event(self._run_id, "training", start + rows, float(loss.mean()), rate))

    def evaluate(self, compiled: Programs, state: TrainState) -> Evaluations:
        """Evaluate every task and write the results."""
        found = self._evaluations(compiled, state)
        own = {f"valid_{name}": loss for name, loss in found[VALIDATION].metrics.items()}
        self.writer.evaluation(self.step, {**own, **numbers(found)})
        return found

    def save(self, state: TrainState) -> None:
        self._checkpoints.save(self.step, state)

    def finish(self, compiled: Programs, state: TrainState) -> None:
        """Save the last checkpoint, evaluate every task, and write the summary.

        Raises:
            UserError: a task gave a number that is not finite, though the loss is.
        """
        self.save(state)
        evaluated = self.evaluate(compiled, state)
        loss, found = evaluated[VALIDATION].metrics["loss"], numbers(evaluated)
        if not math.isfinite(loss):
            self._end(Outcome.diverged(self.total, "was not finite", self.members))
            return
        for name, value in found.items():
            if not math.isfinite(value):
                raise UserError(
                    f"evaluation.tasks: {name} is {value} after the last step; mend the task, and "
                    "the same command evaluates the run again"
                )
        self._end(
            Outcome(
                Status.COMPLETED,
                loss,
                members=self.members,
                evaluations=found,
                losses_by_source=losses_by_source(evaluated),
            )
        )

    def tell(self, phase: Phase | Status) -> None:
        self.watch(Event(self._run_id, phase, self.step))

    def _evaluations(self, compiled: Programs, state: TrainState) -> Evaluations:
        self.tell("evaluating")
        config = self.job.run.config
        made = recipe(config)
        model = Trained(compiled, state, made.microbatch, made)
        found = evaluate(config.science.evaluation.tasks, model, self.mixture, config.science)
        for name, evaluation in found.items():
            if evaluation.items:
                self.writer.items(self.step, name, evaluation.items)
        return found

    def _set_aside(self, checkpoint: Path, reason: str) -> None:
        aside = move_aside(self.job.folder, checkpoint)
        note = f"{checkpoint}: {reason}; moved to {aside.name}, the run continues from before it"
        self.watch(Event(self._run_id, "compiling", note=note))

    @property
    def _run_id(self) -> str:
        return self.job.run.run_id

    def _end(self, outcome: Outcome) -> None:
        self.writer.check()
        self._open.close()  # the last save is whole before the summary exists
        self.writer.end(outcome)
        self.status = outcome.status
        step = self.total if outcome.diverged_step is None else outcome.diverged_step
        self.watch(Event(self._run_id, outcome.status, step, outcome.loss))
