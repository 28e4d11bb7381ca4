"""Jumps of a score over the sizes, and whether they are the score's or the model's.

    I               sign(argmax y - argmin y) (max y - min y)     y_0 .. y_n: means of the sizes
    linearity       I / sqrt(mean_i (y_i - y_(i-1))^2)            n of a line, sqrt(n) of one jump
    breakthrough    I / sqrt(median_i (y_i - y_(i-1))^2)          n of a line, without end of a jump
    discontinuity   y_n less the line in ln N through y_(n-2) and y_(n-1)

The first three are BIG-bench's (Srivastava et al. 2022, arXiv 2206.04615), the last is PaLM's
(Chowdhery et al. 2022, arXiv 2204.02311), who call ten points of accuracy a discontinuous gain. A
break that accuracy has and p among the choices has not belongs to the measure (brittleness).
Calibration is that of the chosen answer at each size: p among the choices against its hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.types import LEVEL
from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

RESAMPLES = 400
LEAST = 4  # sizes: a median of three steps
BINS = 10  # of equal numbers of answers
FLAT = 1e-9


@dataclass(frozen=True)
class Break:
    """The shape of one measure over the sizes, with intervals over items and seeds."""

    measure: str
    linearity: Ranged
    breakthrough: Ranged
    discontinuity: Ranged


@dataclass(frozen=True)
class Calibration:
    """Brier's score and the expected calibration error of the chosen answers at one size."""

    params: float
    brier: float
    error: float


def measures(answers: Answers) -> Mapping[str, Array]:
    """Scores of every run on every item, from the smoothest to the accuracy, each [R, I]."""
    among = np.exp(answers.right - np.logaddexp(answers.right, answers.wrong))
    return {"ln p": answers.right, "p among the choices": among, "accuracy": answers.hits}


def breaks(answers: Answers, rng: np.random.Generator) -> tuple[Break, ...]:
    """The shape of each measure.

    Raises:
        UserError: fewer than four sizes.
    """
    sizes, place = np.unique(answers.params, return_inverse=True)
    if len(sizes) < LEAST:
        raise UserError(f"{len(sizes)} sizes; breaks over the sizes need {LEAST} or more")
    weights = item_weights(answers.hits.shape[1], RESAMPLES, rng)
    counts = np.bincount(place)
    found = []
    for name, scores in measures(answers).items():
        runs = weights @ scores.T
        means = np.stack([runs[:, place == k].mean(1) for k in range(len(sizes))], 1)
        free = len(place) - len(sizes)
        spread = np.sqrt(((runs[0] - means[0, place]) ** 2).sum() / free) if free else 0.0
        noise = spread / np.sqrt(counts) * rng.normal(size=means.shape)
        noise[0] = 0
        drawn = shape(np.log(sizes), means + noise)
        found.append(Break(name, *map(_ends, drawn)))
    return tuple(found)


def shape(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Linearity, breakthrough and discontinuity of curves y [B, n + 1] over x [n + 1]."""
    reach = np.sign(y.argmax(1) - y.argmin(1)) * np.ptp(y, axis=1)
    steps = np.diff(y, axis=1) ** 2
    slope = (y[:, -2] - y[:, -3]) / (x[-2] - x[-3])
    line = y[:, -2] + slope * (x[-1] - x[-2])
    return (
        reach / np.sqrt(np.maximum(steps.mean(1), FLAT**2)),
        reach / np.sqrt(np.maximum(np.median(steps, axis=1), FLAT**2)),
        y[:, -1] - line,
    )


def _ends(drawn: Array) -> Ranged:
    low, high = percentile_interval(drawn[1:], LEVEL)
    return float(drawn[0]), float(low), float(high)


def calibration(answers: Answers) -> tuple[Calibration, ...]:
    """Of the answers that the models of each size choose."""
    whole = np.logaddexp(answers.right, answers.wrong)
    sure = np.exp(np.maximum(answers.right, answers.rival) - whole)
    found = []
    for size in np.unique(answers.params):
        p, hit = (each[answers.params == size].ravel() for each in (sure, answers.hits))
        order = np.argsort(p, kind="stable")
        bins = np.array_split(order, min(BINS, len(order)))
        gaps = [len(own) * abs(float(p[own].mean() - hit[own].mean())) for own in bins]
        brier = float(((p - hit) ** 2).mean())
        found.append(Calibration(float(size), brier, float(sum(gaps) / len(p))))
    return tuple(found)
