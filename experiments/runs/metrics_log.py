"""The trajectory of one run, row by row, as the trainer learns of it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments import record
from experiments.runs.claim import ClaimLostError


class MetricsLog:
    """Appends to metrics.jsonl from `first_step` on; rows of work that was lost are cut off.

    Rows up to the step `taken` are of another run, whose training this one goes on with.
    """

    def __init__(self, path: Path, first_step: int, taken: int = 0) -> None:
        rows = [row for row in record.read_rows(path) if row["step"] <= first_step]
        record.rewrite_rows(path, rows)
        training = [row for row in rows if "loss" in row]
        self._path, self._inode = path, path.stat().st_ino
        theirs = [row for row in training if row["step"] <= taken]
        self._seconds_taken = theirs[-1]["seconds"] if theirs else 0.0
        self._tokens_taken = theirs[-1]["tokens"] if theirs else 0
        self._before = training[-1]["seconds"] if training else 0.0
        self._start = self._last = time.perf_counter()
        self._tokens = training[-1]["tokens"] if training else 0
        self.train_loss = training[-1]["loss"] if training else math.nan
        self.first_dispatch_seconds = math.nan  # compilation included

    @property
    def seconds(self) -> float:
        """Wall time spent on this run's own training, over all its interruptions."""
        return self._elapsed - self._seconds_taken

    @property
    def tokens(self) -> int:
        """Of this run's own training, as its rows tell."""
        return self._tokens - self._tokens_taken

    @property
    def _elapsed(self) -> float:
        """Wall time since the first step, whoever took it."""
        return self._before + time.perf_counter() - self._start

    def row(self, step: int, batch_tokens: int, steps: int, values: dict[str, np.ndarray]) -> float:
        """Append the means over one dispatch; returns tokens per second since the last row."""
        now = time.perf_counter()
        rate = steps * batch_tokens / (now - self._last)
        if math.isnan(self.first_dispatch_seconds):
            self.first_dispatch_seconds, rate = now - self._start, math.nan
        self._last = now
        means = {
            name: float(value.mean()) if np.isfinite(value).all() else None
            for name, value in values.items()
        }
        self._tokens, self.train_loss = step * batch_tokens, float(values["loss"].mean())
        row = {"step": step, "tokens": self._tokens, **means, "seconds": self._elapsed}
        self._append(row)
        return rate

    def evaluation(self, step: int, batch_tokens: int, loss: float) -> None:
        row = {"step": step, "tokens": step * batch_tokens, "valid_loss": loss}
        self._append(row)

    def _append(self, row: dict[str, Any]) -> None:
        self.check()
        record.append_rows(self._path, [row])

    def check(self) -> None:
        """The file is ours still: whoever takes a run over begins one of their own.

        Raises:
            ClaimLostError: it is another's.
        """
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            raise ClaimLostError(f"{self._path}: another worker goes on with it")
