"""Models as tasks see them, and the result of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.record import ItemResult
from models.config import Phase
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Sampler:
    """Rule of drawing: temperature 0 takes the likeliest token; top_k 0 and top_p 1 keep all."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise UserError(f"temperature={self.temperature}: must be finite and not negative")
        if self.top_k < 0:
            raise UserError(f"top_k={self.top_k}: must be 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p}: must be above 0 and at most 1")


class Model(Protocol):
    """Parameters that can be scored, under any layout and on any device."""

    def loss(self, windows: NDArray[np.integer], phase: Phase = "evaluation") -> float:
        """Mean cross-entropy of [N, T+1] windows in nats per token.

        In the phase "training" a router may choose by later tokens.
        """
        ...

    def log_probabilities(
        self, windows: NDArray[np.integer], scored: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        """ln p of the scored tokens, summed over each window, in nats: [N, T+1], [N, T] -> [N].

        scored[n, t] counts the prediction of windows[n, t+1] from windows[n, :t+1].
        """
        ...

    def sample(
        self, prompts: Sequence[NDArray[np.integer]], seeds: Sequence[int], new: int,
        sampler: Sampler,
    ) -> list[NDArray[np.int32]]:  # fmt: skip
        """The `new` tokens drawn after each prompt, by the sampler and a seed for each."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """The result of one task: numbers by name, and a row for each item."""

    metrics: Mapping[str, float]
    items: Sequence[ItemResult] = ()


@dataclass(frozen=True)
class Uniform:
    """The model that gives each of `vocab` tokens the same probability."""

    vocab: int

    def loss(self, windows: NDArray[np.integer], phase: Phase = "evaluation") -> float:
        return math.log(self.vocab)

    def log_probabilities(
        self, windows: NDArray[np.integer], scored: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        return -math.log(self.vocab) * scored.sum(-1, dtype=np.float64)

    def sample(
        self, prompts: Sequence[NDArray[np.integer]], seeds: Sequence[int], new: int,
        sampler: Sampler,
    ) -> list[NDArray[np.int32]]:  # fmt: skip
        every = [np.random.default_rng(seed).integers(0, self.vocab, new) for seed in seeds]
        return [tokens.astype(np.int32) for tokens in every]
