"""A population as a submitit job, in the process on the node: trained, and requeued if need be.

Near its time limit a job gets submitit's signal (SIGUSR2). When it is preempted, requeued or
cancelled it gets SIGTERM. Submitit's handler would requeue the job and exit at once, in the middle
of a save. So here both signals only ask the trainer to stop; submitit's handler runs once the
checkpoints are sealed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

from submitit import JobEnvironment
from submitit.core.utils import DelayedSubmission

from experiments import record
from experiments.devices.slot import Slot
from experiments.launchers._worker import train_here
from experiments.record import AGAIN, ENDED
from experiments.runs.claim import STALE, is_claimed
from experiments.runs.job import Population
from scaling.common.errors import UserError

REQUEUE = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


@dataclass(frozen=True)
class ArrayTask:
    """The pickled function of one job. Submitit calls it on the node, after each requeue too."""

    population: Population
    slot: Slot

    def __call__(self) -> str | None:
        """Train the population; the user's error, or None. A stop signal exits after saving.

        After SIGTERM alone Slurm itself requeues the job, unless it was cancelled.
        """
        asked: list[int] = []
        before = {
            number: signal.signal(number, lambda number, _: asked.append(number))
            for number in (REQUEUE, signal.SIGTERM)
        }
        try:
            self._outlive_claims(asked)
            train_here(self.population, self.slot, lambda: bool(asked))
        except UserError as error:
            return str(error)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if asked and any(record.run_status(job.folder) not in ENDED for job in self.population):
            if REQUEUE in asked:
                signal.raise_signal(REQUEUE)  # submitit's handler: `checkpoint`, requeue, exit
            sys.exit(AGAIN)
        return None

    def checkpoint(self) -> DelayedSubmission:
        """Continue after a requeue with the same call; finished runs are skipped."""
        return DelayedSubmission(self)

    def _outlive_claims(self, asked: list[int]) -> None:
        """Wait until the claims of a killed attempt, perhaps on another node, lapse."""
        if "SLURM_RESTART_COUNT" not in os.environ:
            return
        deadline = time.monotonic() + 2 * STALE
        while any(is_claimed(job.folder) for job in self.population):
            if asked or time.monotonic() > deadline:
                return
            time.sleep(1)
