"""Rate of passing of samples, by a likelihood that holds censored items: -ln PU = c N^-a.

An item is sampled until r samples pass or a cap ends it. Its unbiased rate is (r - 1) / (K - 1), or
passes / cap where it is censored; the stopping rule leaves the likelihood of x passes in K samples

    B(x + mu phi, K - x + (1 - mu) phi) / B(mu phi, (1 - mu) phi),      mu = exp(-c N^-a)

with items beta-distributed about mu (Hu et al. 2024, arXiv 2310.03262, fit the task's rate). So

    pass@k(N) = 1 - B(mu phi, (1 - mu) phi + k) / B(mu phi, (1 - mu) phi),

which is mu for one sample: the rate of passing, not the accuracy among choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights
from scaling.common.errors import UserError

RESAMPLES = 200
TINY = 1e-4
PASSES = 3  # that end an item
BOUNDS = (-8, 5), (-6, 1.5), (-3, 6)  # of ln c, ln a and ln phi


@dataclass(frozen=True)
class PassLaw:
    """The law, the likeliest first and then its draws, each [B]: ln c at the mean size, a, phi, and
    the noise of a new run in ln(-ln mu)."""

    middle: float  # mean ln N
    level: Array
    fall: Array
    phi: Array
    noise: Array

    def at(self, params: float, samples: int = 1) -> Array:
        """pass@k of a new run of a size, the likeliest and its draws: [B]."""
        level = self.level - self.fall * (np.log(params) - self.middle) + self.noise
        mu = np.clip(np.exp(-np.exp(level)), 1e-12, 1 - 1e-12)
        a, b = mu * self.phi, (1 - mu) * self.phi
        found: Array = -np.expm1(betaln(a, b + samples) - betaln(a, b))
        return found


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    """The rate of passing of a new run; raises what `passing` does."""
    return passing(answers, rng).at(params)


def passing(answers: Answers, rng: np.random.Generator) -> PassLaw:
    """The law and its draws over items and runs.

    Raises:
        UserError: no samples, or fewer than four runs.
    """
    if not answers.has_samples:
        raise UserError("no samples; windtunnel evaluate FOLDER --samples 64 draws them")
    R, I = answers.drawn.shape
    if R < 4:
        raise UserError(f"{R} runs for two constants; train four or more")
    x = np.log(answers.params)
    middle = float(x.mean())
    x = x - middle
    weights = item_weights(I, RESAMPLES, rng) * I
    found = _likeliest(x, answers.drawn, answers.passed, weights)
    measured = rates(answers.drawn, answers.passed).mean(1)
    off = double_log(measured) - (found[0, 0] - np.exp(found[0, 1]) * x)
    scale = np.sqrt((off**2).sum() / rng.chisquare(R - 2, len(weights)))
    scale[0] = 0
    moved = rng.normal(size=(len(weights), R)) @ np.linalg.pinv(np.stack([np.ones(R), x], 1)).T
    moved = scale[:, None] * moved
    return PassLaw(
        middle=middle,
        level=found[:, 0] + moved[:, 0],
        fall=np.exp(found[:, 1]) - moved[:, 1],
        phi=np.exp(np.clip(found[:, 2], *BOUNDS[2])),
        noise=scale * rng.normal(size=len(weights)),
    )


def rates(drawn: Array, passed: Array, passes: int = PASSES) -> Array:
    """The unbiased rate of each item, of either kind of end."""
    ended = passed >= passes
    return np.where(ended, (passed - 1) / np.maximum(drawn - 1, 1), passed / np.maximum(drawn, 1))


def double_log(rate: Array) -> Array:
    """ln(-ln rate), of rates inside (0, 1)."""
    return np.log(-np.log(np.clip(rate, 1e-6, 1 - 1e-6)))


def _likeliest(x: Array, drawn: Array, passed: Array, weights: Array) -> Array:
    """ln c at the mean, ln a and ln phi, the likeliest first, then of resamples of items: [B, 3].

    A resample moves the likeliest by one Newton step, - H^-1 sum_i (w_i - 1) grad_i.
    """

    def costs(theta: Array) -> Array:
        """- ln likelihood of each item, with its share of a wide prior: [I]."""
        mu = np.clip(np.exp(-np.exp(theta[0] - np.exp(theta[1]) * x)), 1e-9, 1 - 1e-9)[:, None]
        a, b = mu * np.exp(theta[2]), (1 - mu) * np.exp(theta[2])
        logs = betaln(passed + a, drawn - passed + b) - betaln(a, b)
        prior = 0.5 * ((theta[1] + 1.5) ** 2 / 4 + (theta[2] - 0.5) ** 2 / 9)
        found: Array = prior / drawn.shape[1] - logs.sum(0)
        return found

    def slopes(theta: Array) -> Array:
        """The gradient of each item's cost: [I, 3]."""
        steps = TINY * np.eye(3)
        return np.stack([costs(theta + e) - costs(theta - e) for e in steps], 1) / (2 * TINY)

    start = np.array([float(double_log(np.array(rates(drawn, passed).mean()))), -1.5, 0.5])
    best = minimize(
        lambda theta: costs(theta).sum(), start, jac=lambda theta: slopes(theta).sum(0),
        method="L-BFGS-B", bounds=BOUNDS,
    ).x  # fmt: skip
    bends = [(slopes(best + e) - slopes(best - e)).sum(0) / (2 * TINY) for e in TINY * np.eye(3)]
    square = np.stack(bends)
    values, vectors = np.linalg.eigh((square + square.T) / 2)
    inverse = vectors / np.maximum(values, 1e-3) @ vectors.T
    moves: Array = best - (weights - 1) @ slopes(best) @ inverse
    return moves
