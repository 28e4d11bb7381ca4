"""Samples against parameters: pass@k of a size, a test of super-scaling, and one budget for both.

    pass@k(N) = 1 - B(mu phi, (1 - mu) phi + k) / B(mu phi, (1 - mu) phi),   mu = exp(-c N^-a)
    ln(-ln PU) = level - a ln N + q (ln N)^2          q < 0: better than the power law (PassUntil)
    cost       = 6 N D + 2 N k T Q                    D = r N tokens, Q questions of T tokens

The rates of items are beta-distributed about mu, as in the chain `pass_until`, whose likelihood
holds the rule that ends an item's samples. At a given pass rate, more samples of a smaller model
and fewer of a larger one are worth the same; the cost decides, by how many questions are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.chains.pass_until import double_log, likeliest, rates
from analysis.inference.abilities.curves import item_weights
from scaling.common.errors import UserError

RESAMPLES = 200
MOST = 2**20  # samples of a question

Ends = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class PassLaw:
    """The likeliest ln c at the mean size, ln a and ln phi, then of resamples of items: [B, 3]."""

    middle: float  # mean ln N
    theta: Array

    def at(self, params: float, samples: int) -> Array:
        """pass@k of a size, the likeliest and its draws: [B]."""
        fall = np.exp(self.theta[:, 1]) * (np.log(params) - self.middle)
        mu = np.clip(np.exp(-np.exp(self.theta[:, 0] - fall)), 1e-12, 1 - 1e-12)
        phi = np.exp(self.theta[:, 2])
        none = betaln(mu * phi, (1 - mu) * phi + samples) - betaln(mu * phi, (1 - mu) * phi)
        found: Array = -np.expm1(none)
        return found

    def needed(self, params: float, rate: float) -> int | None:
        """The fewest samples that pass at this rate; None if a million do not."""
        low, high = 0, 1
        while self.at(params, high)[0] < rate:
            low, high = high, 2 * high
            if high > MOST:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.at(params, middle)[0] >= rate else (middle, high)
        return high


@dataclass(frozen=True)
class Spent:
    """The cheapest way of one size to a rate of passing."""

    params: float
    samples: int
    train: float  # FLOPs
    sample: float

    @property
    def cost(self) -> float:
        return self.train + self.sample


def passing(answers: Answers, rng: np.random.Generator) -> PassLaw:
    """Raises UserError without samples, or of fewer than four runs."""
    if not answers.has_samples:
        raise UserError("no samples; windtunnel evaluate FOLDER --samples 64 draws them")
    runs, items = answers.drawn.shape
    if runs < 4:
        raise UserError(f"{runs} runs for two constants; train four or more")
    x = np.log(answers.params)
    weights = item_weights(items, RESAMPLES, rng) * items
    theta = likeliest(x - x.mean(), answers.drawn, answers.passed, weights)
    return PassLaw(float(x.mean()), theta)


def curvature(answers: Answers, rng: np.random.Generator) -> Ends:
    """q with its interval over items and runs: below 0, super-scaling; above, sub-scaling.

    Raises:
        UserError: fewer than five runs, or three sizes.
    """
    runs, items = answers.drawn.shape
    if runs < 5 or len(np.unique(answers.params)) < 3:
        raise UserError(f"{runs} runs; a curvature takes five, of three sizes")
    x = np.log(answers.params)
    x = x - x.mean()
    solve = np.linalg.pinv(np.stack([np.ones(runs), x, x**2], 1))
    y = double_log(item_weights(items, RESAMPLES, rng) @ rates(answers.drawn, answers.passed).T)
    left = y[0] - np.stack([np.ones(runs), x, x**2], 1) @ (solve @ y[0])
    scale = np.sqrt((left**2).sum() / rng.chisquare(runs - 3, len(y)))
    drawn = (y + scale[:, None] * rng.normal(size=y.shape)) @ solve[2]
    low, high = percentile_interval(drawn[1:], LEVEL)
    return float(solve[2] @ y[0]), float(low), float(high)


def cheapest(
    law: PassLaw, sizes: Sequence[float], rate: float, ratio: float, length: float, questions: float
) -> tuple[Spent, ...]:
    """The cost of each size to pass at `rate`; sizes that never do are left out.

    Args:
        ratio: tokens per parameter of training.
        length: tokens of a sample.
        questions: asked over the life of the model.
    """
    found = []
    for params in sizes:
        samples = law.needed(params, rate)
        if samples is not None:
            train = 6 * params * ratio * params
            found.append(Spent(params, samples, train, 2 * params * samples * length * questions))
    return tuple(found)
