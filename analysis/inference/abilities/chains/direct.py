"""Accuracy as a sigmoid in ln N, from the accuracies alone: the control of the other chains.

accuracy = g + (1 - g) sigmoid(k (ln N - m))          g: that of a guess
"""

from __future__ import annotations

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, joint, sigmoid

RESAMPLES = 300


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    g, x = answers.chance, np.log(answers.params)
    middle, width = x.mean(), max(float(np.ptp(x)), 1.0)

    def curve(theta: Array, at: Array) -> Array:
        slope, place = theta[:, :1], theta[:, 1:]
        return g + (1 - g) * sigmoid(slope * (at - middle) / width - place)

    weights = item_weights(answers.hits.shape[1], RESAMPLES, rng)
    starts = np.array([[2.0, 0.0], [8.0, 2.0], [4.0, -3.0]])
    found = joint(curve, x, weights @ answers.hits.T, starts, rng)
    return found.at(curve, np.full((len(weights), 1), np.log(params)), rng)
