"""metrics.jsonl of one run during training: the trajectory, row by row."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments import record
from experiments.devices.energy import Meter
from experiments.record import MetricsRow
from experiments.runs.claim import ClaimLostError


class MetricsLog:
    """Append-only log from `first_step` on; rows beyond that step are cut off.

    Rows up to the step `inherited` are a parent's. They count neither in `seconds` nor in `tokens`.
    The validation of the step `last` is cut off too: the run repeats it before its end.
    """

    def __init__(self, path: Path, first_step: int, inherited: int = 0, last: int = -1) -> None:
        rows = [
            row
            for row in record.read_rows(path)
            if row.step <= first_step and (row.seconds is not None or row.step != last)
        ]
        record.rewrite_rows(path, rows)
        training = [row for row in rows if row.seconds is not None]
        self._path, self._inode = path, path.stat().st_ino
        theirs = [row for row in training if row.step <= inherited]
        self._seconds_inherited, self._tokens_inherited = _reach(theirs)
        self._before, self._tokens = _reach(training)
        self._meter = Meter()
        self._start = self._last = time.perf_counter()
        self.train_loss = training[-1].loss if training else math.nan
        self.first_dispatch_seconds = math.nan  # compilation included

    @property
    def seconds(self) -> float:
        """Wall time of this run's own training, over all its interruptions."""
        return self._elapsed - self._seconds_inherited

    @property
    def joules(self) -> float | None:
        """Energy of this process since the first step; None where it was not measured, or not over
        all of this run's training."""
        return None if self._before else self._meter.joules()

    @property
    def tokens(self) -> int:
        """Tokens of this run's own training."""
        return self._tokens - self._tokens_inherited

    @property
    def _elapsed(self) -> float:
        """Wall time since the first step, a parent's included."""
        return self._before + time.perf_counter() - self._start

    def row(self, step: int, batch_tokens: int, steps: int, values: dict[str, np.ndarray]) -> float:
        """Append the means over one dispatch; returns tokens per second since the last row."""
        now = time.perf_counter()
        rate = steps * batch_tokens / (now - self._last)
        if math.isnan(self.first_dispatch_seconds):
            self.first_dispatch_seconds, rate = now - self._start, math.nan
        self._last = now
        with np.errstate(over="ignore", invalid="ignore"):  # a sum of great numbers overflows
            means = {name: record.finite(value.mean()) for name, value in values.items()}
        loss = means["loss"]
        self._tokens, self.train_loss = step * batch_tokens, math.nan if loss is None else loss
        self._append(
            MetricsRow(step=step, tokens=self._tokens, seconds=self._elapsed, metrics=means)
        )
        return rate

    def evaluation(self, step: int, batch_tokens: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of the tasks, such as the validation loss in nats per token."""
        found = {name: record.finite(value) for name, value in metrics.items()}
        self._append(MetricsRow(step=step, tokens=step * batch_tokens, metrics=found))

    def _append(self, row: MetricsRow) -> None:
        self.check()
        record.append_rows(self._path, [row])

    def check(self) -> None:
        """Check that the file is still ours: a worker that takes a run over replaces it.

        Raises:
            ClaimLostError: another worker replaced it.
        """
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            raise ClaimLostError(f"{self._path}: another worker continues it")


def _reach(rows: list[MetricsRow]) -> tuple[float, int]:
    """Wall time and tokens at the end of rows of training; zeros without rows."""
    if not rows:
        return 0.0, 0
    assert rows[-1].seconds is not None
    return rows[-1].seconds, rows[-1].tokens
