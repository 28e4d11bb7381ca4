"""Writer of a run's record during training, from config.json to summary.json.

Of several processes that train a run together, the leader writes; the others' methods do nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec

import numpy as np
from msgspec import structs

from experiments import record
from experiments.data import Mixture
from experiments.devices.multihost import leads
from experiments.record import ItemResult, ItemRow
from experiments.runs.branch_point import parents
from experiments.runs.job import Job, Outcome
from experiments.runs.metrics_log import MetricsLog
from experiments.runs.summary import write_config, write_summary
from scaling.common import files

P = ParamSpec("P")


def on_leader(method: Callable[P, None]) -> Callable[P, None]:
    """Restrict a method to the leader."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        if leads():
            method(*args, **kwargs)

    return call


def _finite(value: float | None) -> float | None:
    return None if value is None else record.finite(value)


class Writer:
    """Record of one run in training: `open` it, `begin` at a step, then write rows."""

    tokens_per_second = math.nan  # of the last row
    _log: MetricsLog

    def __init__(self, job: Job, mixture: Mixture) -> None:
        self._job, self._mixture = job, mixture
        self._parents: tuple[record.Parent, ...] = ()

    @on_leader
    def open(self) -> None:
        """Write config.json, or check the present one, and the tokenizer beside it."""
        self._parents = parents(self._job)
        write_config(self._job, self._parents)
        if content := self._mixture.tokenizer.content:
            files.write_bytes(self._job.folder / record.TOKENIZER, content)

    @on_leader
    def begin(self, step: int) -> None:
        """Continue from this step; rows beyond it are cut off."""
        copied = self._parents if self._job.run.origin else ()
        inherited = max((each.step for each in copied), default=0)
        last = self._job.run.config.science.steps
        self._log = MetricsLog(self._job.folder / record.METRICS, step, inherited, last)

    @on_leader
    def row(self, step: int, steps: int, values: dict[str, np.ndarray]) -> None:
        """Append the metrics of the `steps` steps before `step`."""
        self.tokens_per_second = self._log.row(step, self._batch_tokens, steps, values)

    @on_leader
    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of the tasks at a step."""
        self._log.evaluation(step, self._batch_tokens, metrics)

    @on_leader
    def items(self, step: int, task: str, results: Sequence[ItemResult]) -> None:
        """Write the items of a task at this step; rows of later steps are cut off.

        Raises:
            ClaimLostError: another worker took the run over.
        """
        self._log.check()
        path = self._job.folder / record.EVALUATIONS / f"{task}.jsonl"
        before = [row for row in record.read_items(path) if row.step < step]
        rows = [
            ItemRow(
                step=step,
                **structs.asdict(result)
                | {"log_probabilities": tuple(map(_finite, result.log_probabilities))},
            )
            for result in results
        ]
        record.rewrite_rows(path, [*before, *rows])

    @on_leader
    def check(self) -> None:
        """Check that the record is still ours.

        Raises:
            ClaimLostError: another worker took it over.
        """
        self._log.check()

    @on_leader
    def end(self, outcome: Outcome) -> None:
        """Write summary.json."""
        write_summary(self._job, self._mixture, self._parents, outcome, self._log)

    @property
    def _batch_tokens(self) -> int:
        return self._job.run.config.science.batch.batch_tokens
