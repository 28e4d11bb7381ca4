"""Effective speed-up of single runs against a reference law, its floor and exponents pinned.

    L_ref(N sqrt k, D sqrt k) = L,     or  L_ref(k C) = L for a law of one variable

k is the factor of compute that the reference needs, at the run's own tokens per parameter, for the
loss of the run. A few runs are enough, for nothing of the reference is fitted to them. The mean of
ln k over n runs has the interval

    t_{n-1} sd(ln k) / sqrt(n)   joined in squares with the sd of the mean over the resamples

The scatter of ln k holds run noise and lack of fit; `expected` is what run noise alone would give.
A trend of ln k says that the arm gains or loses with scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.bootstrap import spread, student_t
from analysis.fitting.prediction.reach import size_of
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.tables.points import Array, Points
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

RANGE = math.log(1e6)  # of k, both ways
HALVINGS = 60


@dataclass(frozen=True)
class SpeedUp:
    """n runs: names, compute and `factors` k (n,). `value`, `low`, `high` are of the mean.

    `scatter` is the sd of ln k, `expected` its sd by the run noise of the reference; `per_decade`
    is the factor by which k grows over a decade of compute, with its ends; nan for too few runs.
    """

    labels: tuple[str, ...]
    flops: Array
    factors: Array
    value: float
    low: float
    high: float
    scatter: float
    expected: float
    per_decade: Ranged


def speed_up(reference: FitResult, arm: Points, level: float = LEVEL) -> SpeedUp:
    """The speed-up of the runs of `arm` against the law of `reference`.

    Raises:
        UserError: a run has a loss that the reference reaches at no compute within a millionfold.
    """
    law, x = reference.law, {name: arm.variables[name] for name in reference.law.variables}
    best = np.array([[reference.estimates[name] for name in law.parameters]])
    values = np.concatenate([best, reference.samples])
    logs = _log_factors(reference, values, x, arm.loss)
    if not np.isfinite(logs[0]).all():
        lost = [arm.labels[at] for at in np.flatnonzero(~np.isfinite(logs[0]))]
        raise UserError(
            f"{', '.join(lost[:3])}: the reference reaches this loss at no compute within a "
            "factor of a million; compare arms of one loss and one corpus"
        )
    ours = logs[0]
    size = np.log(size_of(x))
    drawn = np.where(np.isfinite(logs[1:]), logs[1:], np.nan)
    constants = float(spread(np.nanmean(drawn, axis=1))) if reference.has_intervals else math.nan
    count = len(ours)
    scatter = float(ours.std(ddof=1)) if count > 1 else math.nan
    half = math.hypot(student_t(level, count - 1) * scatter / math.sqrt(count),
                      student_t(level, 1e6) * constants) if count > 1 else math.nan  # fmt: skip
    middle = float(ours.mean())
    return SpeedUp(
        labels=arm.labels,
        flops=np.exp(size),
        factors=np.exp(ours),
        value=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        scatter=scatter,
        expected=reference.noise * float(np.mean(1 / _slopes(reference, x, ours))),
        per_decade=_trend(size / math.log(10), ours, level),
    )


def _log_factors(reference: FitResult, values: Array, x: Mapping[str, Array], loss: Array) -> Array:
    """ln k (R, n) by bisection; inf where no factor in the range will do."""
    low = np.full((len(values), len(loss)), -RANGE)
    high = -low
    outside = (_log_loss(reference, values, x, high) > np.log(loss)) | (
        _log_loss(reference, values, x, low) < np.log(loss)
    )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = _log_loss(reference, values, x, middle) > np.log(loss)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(outside, np.inf, (low + high) / 2)


def _log_loss(
    reference: FitResult, values: Array, x: Mapping[str, Array], log_factor: Array
) -> Array:
    """ln L (R, n) where the compute of each run is k times as large."""
    law = reference.law
    share = np.exp(log_factor / len(x))
    params = {name: column[:, None] for name, column in zip(law.parameters, values.T, strict=True)}
    with np.errstate(over="ignore"):
        return np.log(law.predict(params, **{name: each * share for name, each in x.items()}))


def _slopes(reference: FitResult, x: Mapping[str, Array], logs: Array, step: float = 1e-3) -> Array:
    """-d ln L / d ln C of the reference at the equivalent of each run, (n,)."""
    best = np.array([[reference.estimates[name] for name in reference.law.parameters]])
    up = _log_loss(reference, best, x, (logs + step)[None])[0]
    down = _log_loss(reference, best, x, (logs - step)[None])[0]
    return np.asarray((down - up) / (2 * step))


def _trend(decades: Array, logs: Array, level: float) -> Ranged:
    """The factor of k over a decade, with its interval; nan below three runs or one size."""
    nothing = (math.nan, math.nan, math.nan)
    if len(logs) < 3 or np.ptp(decades) < 1e-9:
        return nothing
    away = decades - decades.mean()
    square = float(away @ away)
    slope = float(away @ logs) / square
    left = logs - logs.mean() - slope * away
    error = math.sqrt(float(left @ left) / (len(logs) - 2) / square)
    half = student_t(level, len(logs) - 2) * error
    return math.exp(slope), math.exp(slope - half), math.exp(slope + half)
