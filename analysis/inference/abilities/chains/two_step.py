"""Task loss as a power law of N, and accuracy as a sigmoid of the task loss.

    L = E + A (N / N_mean)^-alpha             nats per byte of the right choice
    accuracy = g + (1 - g) sigmoid(k (m - L))

The ladder of Bhagia et al. 2024 (arXiv 2412.04403), with the floor at the accuracy of a guess and
the top at 1. The second curve reads the PREDICTED loss.
"""

from __future__ import annotations

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, joint, sigmoid

RESAMPLES = 300


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    g, x = answers.chance, np.log(answers.params)
    middle = x.mean()
    weights = item_weights(answers.hits.shape[1], RESAMPLES, rng)
    losses = weights @ answers.loss.T
    scale = losses[0].std() + 1e-9

    def loss_law(theta: Array, at: Array) -> Array:
        rest, size, alpha = np.exp(theta[:, :1]), np.exp(theta[:, 1:2]), np.exp(theta[:, 2:])
        return rest + size * np.exp(-np.minimum(alpha, 3) * (at - middle))

    def link(theta: Array, loss: Array) -> Array:
        slope, place = theta[:, :1], theta[:, 1:]
        return g + (1 - g) * sigmoid(place - slope * (loss - losses[0].mean()) / scale)

    mean = max(float(losses[0].mean()), 1e-6)
    starts = np.log([[0.3 * mean, 0.7 * mean, 0.2], [0.01 * mean, mean, 0.1]])
    first = joint(loss_law, x, losses, starts, rng, "loss")
    seconds = np.array([[1.0, 0.0], [2.0, -2.0], [3.0, 2.0]])
    second = joint(link, losses, weights @ answers.hits.T, seconds, rng)
    predicted = first.at(loss_law, np.full((len(weights), 1), np.log(params)), rng)
    return second.at(link, predicted[:, None], rng)
