"""Task loss as a power law of N, and accuracy as a sigmoid of the task loss.

    L = E + A (N / N_mean)^-alpha             nats per byte of the right choice
    accuracy = g + (1 - g) sigmoid(m - k u),    u = (L^p - 1) / p,    0 <= p <= 1

The ladder of Bhagia et al. 2024 (arXiv 2412.04403), with the floor at the accuracy of a guess and
the top at 1. The second curve reads the PREDICTED loss. Two things are left open, for rows of a
ladder do not settle them and a target beyond it hangs on them:

- the sign of E, and with it of alpha: a loss that falls faster than every power law to 0 would hold
  the fit and all its resamples at E = 0, on one side of the truth;
- the scale of the sigmoid, from ln L (p = 0) to L (p = 1). On L the top lies at L = -inf, though no
  loss is below 0; on ln L it is at 0. Each draw has its own p, the value 1/2.
"""

from __future__ import annotations

import numpy as np
from scipy.special import boxcox, exprel

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, joint, sigmoid

RESAMPLES = 300
ALPHA = -1.0, 3.0
LEAST = 1e-6  # of the mean loss: no loss is smaller


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    g, x = answers.chance, np.log(answers.params)
    middle = x.mean()
    weights = item_weights(answers.hits.shape[1], RESAMPLES, rng)
    losses = weights @ answers.loss.T
    mean, spread = max(float(losses[0].mean()), LEAST), losses[0].std() + 1e-9
    powers = np.concatenate([[0.5], rng.uniform(size=RESAMPLES)])[:, None]

    def loss_law(theta: Array, at: Array) -> Array:
        """E + A - alpha A z exprel(-alpha z), which goes through alpha = 0: [B, n]."""
        z = at - middle
        return theta[:, :1] - np.exp(theta[:, 1:2]) * z * exprel(-np.clip(theta[:, 2:], *ALPHA) * z)

    def scaled(loss: Array) -> Array:
        """u in units of its spread over the runs: [1 + B, n]."""
        found: Array = boxcox(np.maximum(loss / mean, LEAST), powers) * mean / spread
        return found

    def link(theta: Array, u: Array) -> Array:
        return g + (1 - g) * sigmoid(theta[:, 1:] - theta[:, :1] * u)

    starts = np.array([[mean, np.log(spread), 0.2], [mean, np.log(spread), 0.5]])
    first = joint(loss_law, x, losses, starts, rng, "loss")
    seconds = np.array([[1.0, 0.0], [2.0, -2.0], [3.0, 2.0]])
    second = joint(link, scaled(losses), weights @ answers.hits.T, seconds, rng)
    predicted = first.at(loss_law, np.full((len(weights), 1), np.log(params)), rng)
    return second.at(link, scaled(predicted[:, None]), rng)
