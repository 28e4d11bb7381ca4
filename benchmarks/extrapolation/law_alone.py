"""Candidates whose scale of rolled errors multiplies the law's part alone.

The default multiplies constants b, run noise s and law tau f h by one scale a. A law that bends
makes no run noisier, so here the sd of an error is

    e = mu f h + eps,    eps ~ N(0, b^2 + s^2 + (a tau f h)^2),

with the default's prior of a and mu, and b and s have Student's t of their own n - P degrees of
freedom. `law_alone` takes the default's a; `law_alone_posterior` takes the posterior of this model,
which is not conjugate, on a grid of a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import spread, student_t
from analysis.fitting.prediction.extrapolation import DRIFT, NU, TAU, Spread
from analysis.fitting.prediction.roll import Origin
from benchmarks.extrapolation.evidence import Array, Evidence, Interval, around
from benchmarks.extrapolation.score import LEVEL

GRID = np.geomspace(0.02, 200.0, 120)  # of a
HALVINGS = 60


def law_alone(evidence: Evidence) -> Interval:
    """The default's a, on the law's part alone."""
    parts = _parts(evidence)
    law = student_t(LEVEL, parts.of.freedom) * parts.of.scale * parts.law
    return around(evidence.value + parts.drift, np.hypot(_own(parts), law))


def law_alone_posterior(evidence: Evidence) -> Interval:
    """Quantiles of the mixture over the posterior of a, mu integrated out for each a."""
    from scipy.special import ndtr, ndtri

    parts, result = _parts(evidence), evidence.result
    seen = posterior(result.rolled)
    own = _own(parts) / ndtri((1 + LEVEL) / 2)
    fall = parts.of.trend * evidence.distance
    sd = np.sqrt(own**2 + (TAU * GRID[:, None] * fall) ** 2 + (seen.drift_sd[:, None] * fall) ** 2)
    middle = seen.drift[:, None] * fall

    def quantile(share: float) -> Array:
        low, high = (middle - 40 * sd).min(axis=0), (middle + 40 * sd).max(axis=0)
        for _ in range(HALVINGS):
            at = (low + high) / 2
            below = seen.weight @ ndtr((at - middle) / sd) < share
            low, high = np.where(below, at, low), np.where(below, high, at)
        return (low + high) / 2

    value = evidence.value
    ends = [value + quantile(share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    return Interval(value + quantile(0.5), *ends)


@dataclass(frozen=True)
class Posterior:
    """On the grid of a: its weights, and mean and sd of mu given a."""

    weight: Array
    drift: Array
    drift_sd: Array


def posterior(origins: Sequence[Origin]) -> Posterior:
    """Each origin is one observation, shared among its later runs, as in the default."""
    log_prior = -NU * np.log(GRID) - NU / (2 * GRID**2)  # of ln a, where nu / a^2 is chi^2_nu
    precision = (GRID * DRIFT) ** -2.0
    pull, total = np.zeros_like(GRID), np.zeros_like(GRID)
    for each in origins:
        own = each.constants**2 + each.noise**2
        variance = own + (TAU * GRID[:, None] * each.fall) ** 2
        precision = precision + each.fall**2 / variance @ each.share
        pull = pull + each.fall * each.log_errors / variance @ each.share
        total = total - 0.5 * (np.log(variance) + each.log_errors**2 / variance) @ each.share
    drift = pull / precision
    total = total + log_prior + 0.5 * precision * drift**2
    total = total - 0.5 * np.log(precision) - np.log(GRID)
    weight = np.exp(total - total.max())
    return Posterior(weight / weight.sum(), drift, precision**-0.5)


def _parts(evidence: Evidence) -> Spread:
    return evidence.result.extrapolation.at(
        spread(evidence.sampled), evidence.noise, evidence.distance, LEVEL, evidence.freedom
    )


def _own(parts: Spread) -> Array:
    """Half the interval of constants and run noise, by their own degrees of freedom."""
    t = student_t(LEVEL, max(parts.residual_freedom, parts.of.freedom))
    return t * np.hypot(parts.constants, parts.noise)
