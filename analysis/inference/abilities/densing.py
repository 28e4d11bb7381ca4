"""Density of a run: the size that a reference ladder needs for its accuracy, over its own size.

    rho = N_eff / N,      g + (1 - g) sigmoid(k (ln N_eff - m)) = accuracy

of Xiao et al. 2024 (arXiv 2412.04315), with the direct curve of the reference runs. A held-out
reference run must come out at 1. The interval joins items, the noise of runs and the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, joint, loudness, sigmoid

RESAMPLES = 300


@dataclass(frozen=True)
class Density:
    """The density of one run, with its interval."""

    run: str
    params: float
    value: float
    low: float
    high: float


def densities(every: Answers, reference: tuple[str, ...]) -> tuple[Density, ...]:
    """The density of each run that is not one of the reference, by the items that all answered.

    Raises:
        UserError: no more runs of the reference than constants of its curve.
    """
    is_reference = np.isin(every.runs, reference)
    ladder, found = every.of(is_reference), []
    for place in np.flatnonzero(~is_reference):
        other = every.of(np.arange(len(is_reference)) == place)
        drawn = density(ladder, other, np.random.default_rng(place))
        low, high = percentile_interval(drawn[1:], LEVEL)
        found.append(
            Density(other.runs[0], other.params[0], float(drawn[0]), float(low), float(high))
        )
    return tuple(found)


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
