"""The scribe of a run: writes its record, from config.json to summary.json, as it is trained.

Of several processes that train it together one writes, and the others have a scribe that does not.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from experiments import record
from experiments.data import Mixture
from experiments.devices.multihost import leads
from experiments.record import Status
from experiments.runs.branch_point import parent
from experiments.runs.job import Job
from experiments.runs.metrics_log import MetricsLog
from experiments.runs.summary import write_config, write_summary


class Scribe(Protocol):
    def begin(self, step: int) -> None:
        """Training goes on from this step."""

    def row(self, step: int, steps: int, values: dict[str, np.ndarray]) -> float:
        """The metrics of the `steps` steps before `step`; returns tokens per second."""
        ...

    def evaluation(self, step: int, loss: float) -> None: ...

    def check(self) -> None:
        """Raises `ClaimLostError` where the record is another's by now."""

    def end(
        self, status: Status, loss: float, diverged: int | None, message: str, members: int
    ) -> None: ...


def scribe(job: Job, mixture: Mixture) -> Scribe:
    """The scribe of this process; the record begins with it."""
    return Writer(job, mixture) if leads() else Silent()


class Writer:
    """The scribe that writes. Before it there is no record, or one to go on with."""

    log: MetricsLog

    def __init__(self, job: Job, mixture: Mixture) -> None:
        write_config(job)
        self._job, self._mixture = job, mixture

    def begin(self, step: int) -> None:
        before = parent(self._job)
        taken = before["step"] if before else 0
        self.log = MetricsLog(self._job.folder / record.METRICS, first_step=step, taken=taken)

    def row(self, step: int, steps: int, values: dict[str, np.ndarray]) -> float:
        return self.log.row(step, self._batch_tokens, steps, values)

    def evaluation(self, step: int, loss: float) -> None:
        self.log.evaluation(step, self._batch_tokens, loss)

    def check(self) -> None:
        self.log.check()

    def end(
        self, status: Status, loss: float, diverged: int | None, message: str, members: int
    ) -> None:
        write_summary(
            self._job,
            self._mixture,
            status,
            diverged=diverged,
            message=message,
            loss=loss,
            log=self.log,
            members=members,
        )

    @property
    def _batch_tokens(self) -> int:
        return self._job.run.config.science.batch.batch_tokens


class Silent:
    """The scribe of a process that does not lead."""

    def begin(self, step: int) -> None:
        pass

    def row(self, step: int, steps: int, values: dict[str, np.ndarray]) -> float:
        return math.nan

    def evaluation(self, step: int, loss: float) -> None:
        pass

    def check(self) -> None:
        pass

    def end(
        self, status: Status, loss: float, diverged: int | None, message: str, members: int
    ) -> None:
        pass
