"""Values that pass between a sweep and its workers: jobs, events, outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from experiments.plan.run import Run
from experiments.record import Status

Phase = Literal["compiling", "training", "evaluating", "failing"]


@dataclass(frozen=True)
class Job:
    """One run and the folder of its record: all that a worker needs besides the corpus."""

    run: Run
    study: str
    folder: Path
    prediction_sha256: str | None = None  # of the registered prediction, for a held-out run


Population = tuple[Job, ...]  # runs to train in one program


@dataclass(frozen=True)
class Event:
    """Progress of a run, for its watcher; the phase of the last event is a `Status`."""

    run_id: str
    phase: Phase | Status
    step: int = 0  # steps done
    loss: float = math.nan  # training loss of the last dispatch; at the end the validation loss
    tokens_per_second: float = math.nan
    note: str = ""  # a line that the user must see


@dataclass(frozen=True)
class Outcome:
    """End of a training: completed with a validation loss, or diverged at a step."""

    status: Literal[Status.COMPLETED, Status.DIVERGED]
    loss: float = math.nan  # on the validation windows, nats per token
    diverged_step: int | None = None
    message: str = ""  # the sign of divergence
    members: int = 1  # runs that its program trained at once
    evaluations: Mapping[str, float] = field(default_factory=dict)  # metrics of other tasks
    losses_by_source: Mapping[str, float] = field(default_factory=dict)  # of several texts

    @classmethod
    def diverged(cls, step: int, sign: str, members: int) -> Outcome:
        """Make the outcome of a loss that showed `sign` at `step`."""
        message = f"the loss {sign} at step {step}"
        return cls(Status.DIVERGED, diverged_step=step, message=message, members=members)
