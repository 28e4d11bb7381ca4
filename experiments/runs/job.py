"""What a worker is given and what it tells: one run and its place, and the events on its way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.plan.run import Run
from experiments.record import Status

Phase = Literal["compiling", "training", "evaluating"]


@dataclass(frozen=True)
class Job:
    """One run and where its record goes: all that a worker needs besides the corpus."""

    run: Run
    study: str
    folder: Path
    prediction_sha256: str | None = None  # of the registered prediction, for a held-out run


Population = tuple[Job, ...]  # runs to train in one program


@dataclass(frozen=True)
class Event:
    """What a run tells whoever watches it; a `Status` for a phase is the last word."""

    run_id: str
    phase: Phase | Status
    step: int = 0  # steps done
    loss: float = math.nan  # training loss of the last dispatch, or at the end the validation loss
    tokens_per_second: float = math.nan
    note: str = ""  # a line that the user must see
