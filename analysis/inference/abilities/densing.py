"""Density of a run: the size that a reference ladder needs for its accuracy, over its own size.

    rho = N_eff / N,      g + (1 - g) sigmoid(k (ln N_eff - m)) = accuracy

of Xiao et al. 2024 (arXiv 2412.04315), with the direct curve of the reference runs. A held-out
reference run must come out at 1. The interval joins items, the noise of runs and the fit.
"""

from __future__ import annotations

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, joint, loudness, sigmoid

RESAMPLES = 300


def density(reference: Answers, other: Answers, rng: np.random.Generator) -> Array:
    """Density of the first run of `other`, and its draws; both answered the same items."""
    g, x = reference.chance, np.log(reference.params)
    middle = x.mean()

    def curve(theta: Array, at: Array) -> Array:
        return g + (1 - g) * sigmoid(np.exp(theta[:, :1]) * (at - middle) - theta[:, 1:])

    weights = item_weights(reference.hits.shape[1], RESAMPLES, rng)
    starts = np.array([[0.0, 0.0], [0.5, 2.0]])
    found = joint(curve, x, weights @ reference.hits.T, starts, rng)
    score = weights @ other.hits[0]
    score += found.noise * loudness(score, "accuracy") * rng.normal(size=len(weights))
    inside = np.clip((score - g) / (1 - g), 1e-3, 1 - 1e-3)
    place = np.log(inside / (1 - inside)) + found.theta[:, 1]
    made: Array = np.exp(place / np.exp(found.theta[:, 0]) + middle) / other.params[0]
    return made
