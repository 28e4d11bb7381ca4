"""Posterior of constants and of a discrepancy that walks at random along ln C.

    ln L_i = ln law(x_i; theta) + g(ln C_i) + eps_i,   g a Brownian path, tau^2 per e-fold,
    eps ~ N(0, sigma^2)

Linear in theta about the fit, so theta and g are conjugate, given (tau, sigma): the posterior at
new rows is normal, and so is the evidence of the rows. Both are mixed over a grid of (tau, sigma)
with a half-normal prior of tau.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from analysis.fitting.bootstrap import student_t
from benchmarks.extrapolation.evidence import Array, Evidence, Interval, around
from benchmarks.extrapolation.score import LEVEL

TAUS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)  # per sqrt(e-fold)
SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0)  # times the residual sd
TAU_SD = 0.004
CONSTANTS_SD = 3.0  # of the log of each constant, about the fit
STEP = 1e-5


def bayesian(evidence: Evidence) -> Interval:
    """The mean and Student's t of the mixture's variance, with n - P degrees of freedom."""
    points = evidence.result.points
    rows, above = _slopes(evidence, points.variables), _slopes(evidence, evidence.above)
    below_log, above_log = np.log(evidence.compute), np.log(evidence.compute_above)
    start = below_log.min()
    walk = np.minimum(below_log[:, None], below_log) - start
    across = np.maximum(np.minimum(above_log[:, None], below_log) - start, 0)
    ahead = np.maximum(above_log - start, 0)
    means, variances, logs = [], [], []
    for tau, times in product(TAUS, SIGMAS):
        noise = (times * evidence.noise) ** 2
        prior = CONSTANTS_SD**2
        within = prior * rows @ rows.T + tau**2 * walk + noise * np.eye(len(rows))
        between = prior * above @ rows.T + tau**2 * across
        gain = np.linalg.solve(within, between.T).T
        own = prior * np.sum(above**2, axis=1) + tau**2 * ahead + noise
        pulled = np.linalg.solve(within, evidence.result.residuals)
        means.append(between @ pulled)
        variances.append(np.maximum(own - np.sum(gain * between, axis=1), noise))
        _, size = np.linalg.slogdet(within)
        logs.append(-(evidence.result.residuals @ pulled + size + (tau / TAU_SD) ** 2) / 2)
    share = np.exp(np.array(logs) - max(logs))
    share /= share.sum()
    mean = share @ np.array(means)
    variance = share @ (np.array(variances) + (np.array(means) - mean) ** 2)
    half = student_t(LEVEL, max(evidence.freedom, 1)) * np.sqrt(variance)
    return around(evidence.value + mean, half)


def _slopes(evidence: Evidence, at: dict[str, Array]) -> Array:
    """d ln law / d ln theta (n, P), by differences; zero for a constant that vanished."""
    law, centre = evidence.result.law, evidence.result.estimates
    base = np.log(law.predict(centre, **at))
    columns = []
    for name in law.parameters:
        moved = {**centre, name: centre[name] * np.exp(STEP)}
        columns.append((np.log(law.predict(moved, **at)) - base) / STEP)
    return np.stack(columns, axis=-1)
