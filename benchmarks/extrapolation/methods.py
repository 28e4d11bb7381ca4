"""Methods of the league: each gives a value and a nominal 95 % interval from the same evidence.

A new method is a function here, or in a file of its own, and its row of `METHODS`. h is the
distance in e-folds, b the sd of the log prediction over resamples, s the residual sd.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from analysis.fitting.bootstrap import percentile_interval, spread, student_t
from benchmarks.extrapolation.averaging import averaged
from benchmarks.extrapolation.bayesian import bayesian
from benchmarks.extrapolation.evidence import Array, Evidence, Interval, around, none
from benchmarks.extrapolation.law_alone import law_alone, law_alone_posterior
from benchmarks.extrapolation.score import LEVEL

PRIOR_RUNGS = 3.0  # of the rolled rms: its weight of the residuals, in rungs
LEAST = math.log(1.5)  # least distance of a rolled rung, where errors are compared over distances
TREND = 0.02  # prior sd of a trend, per e-fold


def bootstrap(evidence: Evidence) -> Interval:
    """Percentiles of the resamples, drawn by run: the constants alone."""
    return Interval(evidence.value, *percentile_interval(evidence.sampled, LEVEL))


def bootstrap_noise(evidence: Evidence) -> Interval:
    """Each side is sqrt(bootstrap^2 + (t s)^2): constants and run noise."""
    return _joined(evidence, student_t(LEVEL, evidence.freedom) * evidence.noise)


def rolled_rms(evidence: Evidence) -> Interval:
    """Each side is sqrt(bootstrap^2 + t^2 v), v of the residuals and of the next rung's errors:

    v = (3 s^2 + sum_k (max(1, h / h_k) e_k)^2) / (3 + K),  e_k the rms error of origin k at the
    rung next to it, h_k its distance; Student's t has 3 + K degrees of freedom.
    """
    steps = [_next_rung(origin) for origin in evidence.result.rolled]
    stretched = [
        (np.maximum(1.0, evidence.distance / max(at, LEAST)) * rms) ** 2 for at, rms, _ in steps
    ]
    weight = PRIOR_RUNGS + len(steps)
    variance = (PRIOR_RUNGS * evidence.noise**2 + sum(stretched)) / weight
    return _joined(evidence, student_t(LEVEL, weight) * np.sqrt(variance))


def rolled_trend(evidence: Evidence) -> Interval:
    """The next rungs' mean errors have a trend in h, e_k = mu h_k, shrunk to 0 with a prior sd of
    2 % per e-fold; it is removed. The rest is rolled rms about it, plus the sd of mu times h."""
    steps = [_next_rung(origin) for origin in evidence.result.rolled]
    weight = PRIOR_RUNGS + len(steps)
    known = (evidence.noise**2 * PRIOR_RUNGS + sum(rms**2 for _, rms, _ in steps)) / weight
    precision = TREND**-2 + sum(at**2 for at, _, _ in steps) / known
    mu = sum(at * mean for at, _, mean in steps) / known / precision
    left = [rms**2 - mean**2 + (mean - mu * at) ** 2 for at, rms, mean in steps]
    variance = (PRIOR_RUNGS * evidence.noise**2 + sum(left)) / weight
    slope = math.sqrt(1 / precision) * evidence.distance
    half = student_t(LEVEL, weight) * np.sqrt(spread(evidence.sampled) ** 2 + variance + slope**2)
    return around(evidence.value + mu * evidence.distance, half)


def conformal(evidence: Evidence) -> Interval:
    """Split-conformal over rungs: |e| / max(h, ln 1.5) of every rolled row is a score, q their
    95 % quantile by the finite-sample rule, or the largest; the half-width is q max(h, ln 1.5).
    Scores of one origin are dependent, so the rule is no guarantee here."""
    scores = [
        np.abs(origin.log_errors) / np.maximum(origin.distance, LEAST)
        for origin in evidence.result.rolled
    ]
    if not scores:
        return none(evidence.value)
    ordered = np.sort(np.concatenate(scores))
    rank = min(math.ceil(LEVEL * (len(ordered) + 1)), len(ordered))
    return around(evidence.value, ordered[rank - 1] * np.maximum(evidence.distance, LEAST))


def default(evidence: Evidence) -> Interval:
    """The package's own: `fit(...).predict(...)`."""
    said = evidence.result.predict_at(evidence.above, LEVEL)
    return Interval(np.log(said.value), np.log(said.low), np.log(said.high))


METHODS: dict[str, Callable[[Evidence], Interval]] = {
    "bootstrap": bootstrap,
    "bootstrap + noise": bootstrap_noise,
    "rolled rms": rolled_rms,
    "rolled trend": rolled_trend,
    "averaged laws": averaged,
    "bayesian": bayesian,
    "conformal": conformal,
    "law alone": law_alone,
    "law alone, posterior": law_alone_posterior,
    "default": default,
}


def _joined(evidence: Evidence, half: Array | float) -> Interval:
    """Ends of the bootstrap and another half-width, joined as independent on each side."""
    value = evidence.value
    low, high = percentile_interval(evidence.sampled, LEVEL)
    # the percentile interval need not hold the value itself: widths stay positive
    below, above = np.maximum(value - low, 0), np.maximum(high - value, 0)
    return Interval(value, value - np.hypot(below, half), value + np.hypot(above, half))


def _next_rung(origin) -> tuple[float, float, float]:
    """h, rms and mean of the errors at the rung that follows an origin's rows."""
    there = origin.later == origin.later.min()
    errors = origin.log_errors[there]
    return (
        float(origin.distance[there].max()),
        float(np.mean(errors**2) ** 0.5),
        float(errors.mean()),
    )
