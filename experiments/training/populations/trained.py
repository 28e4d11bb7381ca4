"""A trained model as tasks see it: programs and state, scored part by part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation import sampling
from experiments.evaluation.model import Sampler
from experiments.training.populations.programs import Programs
from experiments.training.step import Recipe, TrainState, evaluated
from models.config import Phase


@dataclass(frozen=True)
class Trained:
    """The parameters of a state; at most `microbatch` windows are scored at a time."""

    compiled: Programs
    state: TrainState
    microbatch: int
    made: Recipe

    def loss(self, windows: NDArray[np.integer], phase: Phase = "evaluation") -> float:
        """Mean cross-entropy of [N, T+1] windows in nats per token."""
        size = math.gcd(len(windows), self.microbatch)
        parts = windows.reshape(-1, size, windows.shape[-1])
        return float(self.compiled.evaluate[phase](self.state, parts))

    def log_probabilities(
        self, windows: NDArray[np.integer], scored: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        """ln p of the scored tokens, summed over each window, in nats: [N, T+1], [N, T] -> [N].

        Windows with no scored token fill up the last part.
        """
        missing = -len(windows) % self.microbatch

        def parts(rows: NDArray[np.generic]) -> NDArray[np.generic]:
            padded = np.pad(rows, ((0, missing), (0, 0)))
            return padded.reshape(-1, self.microbatch, rows.shape[-1])

        found = self.compiled.score(self.state, parts(windows), parts(scored))
        return np.asarray(found).reshape(-1)[: len(windows)]

    def sample(
        self, prompts: Sequence[NDArray[np.integer]], seeds: Sequence[int], new: int,
        sampler: Sampler,
    ) -> list[NDArray[np.int32]]:  # fmt: skip
        """The `new` tokens drawn after each prompt."""
        params = evaluated(self.made, self.state)
        return sampling.sample(self.made.spec, params, prompts, seeds, new, sampler)
