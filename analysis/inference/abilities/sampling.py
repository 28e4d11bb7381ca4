"""Samples against parameters: a test of super-scaling, and one budget for both.

    ln(-ln PU) = level - a ln N + q (ln N)^2          q < 0: better than the power law (PassUntil)
    cost       = 6 N D + 2 N k T Q                    D = r N tokens, Q questions of T tokens

PU is the rate of passing and k samples of each question reach the asked pass@k, both by the law of
the chain `pass_until`. More samples of a smaller model and fewer of a larger one are worth the
same; the cost decides, by how many questions are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers
from analysis.inference.abilities.chains.pass_until import PassLaw, double_log, rates
from analysis.inference.abilities.curves import item_weights
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

RESAMPLES = 200
MOST = 2**20  # samples of a question


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


def curvature(answers: Answers, rng: np.random.Generator) -> Ranged:
    """q with its interval over items and runs: below 0, super-scaling; above, sub-scaling.

    Raises:
        UserError: fewer than five runs, or three sizes.
    """
    runs, items = answers.drawn.shape
    if runs < 5 or len(np.unique(answers.params)) < 3:
        raise UserError(f"{runs} runs; a curvature takes five, of three sizes")
    x = np.log(answers.params)
    x = x - x.mean()
    design = np.stack([np.ones(runs), x, x**2], 1)
    solve = np.linalg.pinv(design)
    y = double_log(item_weights(items, RESAMPLES, rng) @ rates(answers.drawn, answers.passed).T)
    left = y[0] - design @ (solve @ y[0])
    scale = np.sqrt((left**2).sum() / rng.chisquare(runs - 3, len(y)))
    drawn = (y + scale[:, None] * rng.normal(size=y.shape)) @ solve[2]
    low, high = percentile_interval(drawn[1:], LEVEL)
    return float(solve[2] @ y[0]), float(low), float(high)


def needed(law: PassLaw, params: float, rate: float) -> int | None:
    """The fewest samples that pass at this rate; None if a million do not."""
    low, high = 0, 1
    while law.at(params, high)[0] < rate:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if law.at(params, middle)[0] >= rate else (middle, high)
    return high


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
        samples = needed(law, params, rate)
        if samples is not None:
            train = 6 * params * ratio * params
            found.append(Spent(params, samples, train, 2 * params * samples * length * questions))
    return tuple(found)
