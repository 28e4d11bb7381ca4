"""Size that a run is worth: the clean law of the loss, inverted at the run's loss.

    L(N) = E + A / N^alpha  of runs without repeats,    N_eff = (A / (L - E))^(1 / alpha)

(Hernandez et al. 2022, arXiv 2205.10487). The interval joins the law's resamples and the noise of
one run, Student's t of the scatter of the clean runs about their law: of 120 known sizes it held
97 % with 10 clean runs, and 92 % with 15. At or below the law's E there is no such size.

The most harmful number of repeats is the top of a parabola in ln repeats through the losses of one
size and share. Its interval draws the noise of a run anew; draws without a top inside the tried
range count as outside, and say how sure the top is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.tables.columns import Array

DRAWS = 2000


@dataclass(frozen=True)
class EffectiveSize:
    """N_eff and its interval; infinite where the loss lies below the law's least."""

    value: float
    low: float
    high: float


def effective_size(clean: FitResult, loss: float, seed: int = 0) -> EffectiveSize:
    """The size of the clean run of equal loss; `clean` is a fit of `power_law` with resamples."""
    rng = np.random.default_rng(seed)
    names = clean.law.parameters
    samples = clean.samples[np.isfinite(clean.samples).all(axis=1)]
    each = samples[rng.integers(len(samples), size=DRAWS)].T
    freedom = max(1, len(clean.points) - len(names))
    losses = loss * np.exp(clean.noise * rng.standard_t(freedom, DRAWS))
    drawn = _inverse(dict(zip(names, each, strict=True)), losses)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return EffectiveSize(float(_inverse(clean.params, np.array(loss))), float(low), float(high))


def _inverse(p: Mapping[str, Array] | Mapping[str, float], loss: Array) -> Array:
    above = loss - p["E"]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(
            np.where(above > 0, (p["A"] / above) ** (1 / np.asarray(p["alpha"])), np.inf)
        )


@dataclass(frozen=True)
class Peak:
    """The number of repeats with the highest loss, and its interval.

    `inside` is the share of draws of the noise in which the top lies within the tried range.
    """

    repeats: float
    low: float
    high: float
    inside: float


def peak(repeats: Array, losses: Array, noise: float, seed: int = 0) -> Peak:
    """The top of the parabola through ln losses over ln repeats; `noise` is of one run's ln loss.

    NaN where the parabola has none inside the range of the repeats.
    """
    x, rng = np.log(repeats), np.random.default_rng(seed)
    drawn = np.log(losses) + rng.normal(0, noise, (DRAWS, len(x)))
    tops = _tops(x, np.concatenate([np.log(losses)[None], drawn]))
    known = tops[1:][np.isfinite(tops[1:])]
    low, high = percentile_interval(known, LEVEL) if len(known) else (np.nan, np.nan)
    top, low, high = np.exp([tops[0], low, high]).tolist()
    return Peak(top, low, high, len(known) / DRAWS)


def _tops(x: Array, rows: Array) -> Array:
    """ln of the top of each row's parabola; NaN where it opens upward or the top is outside."""
    curve, slope, _ = np.polyfit(x, rows.T, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        top = -slope / (2 * curve)
    inside = (curve < 0) & (top >= x.min()) & (top <= x.max())
    return np.where(inside, top, np.nan)
