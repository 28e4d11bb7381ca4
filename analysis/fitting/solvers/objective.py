"""Objectives of a fit: a sum over rows of a penalty of residuals, never a mean.

    huber      H_delta(r) = r^2 / 2 inside delta, delta (|r| - delta / 2) outside
    squared    r^2 / 2
    absolute   |r|

of logarithmic residuals, ln fitted - ln measured, or of raw ones, fitted - measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.tables.points import Array
from scaling.common.errors import UserError, check_known

NARROW = 1e-8  # a Huber width so narrow that its optimum is that of absolute residuals
MAD = "mad"


@dataclass(frozen=True)
class Objective:
    """All six as Huber: `delta` is the width, and `unit` divides the sum."""

    name: str
    log: bool
    delta: float
    unit: float = 1.0

    def __str__(self) -> str:
        kind = self.name.split("_")[1]
        what = "log residuals" if self.log else "residuals"
        return {
            "huber": f"sum of Huber losses of {what}, delta {self.delta:.6g}",
            "squared": f"half the sum of squared {what}",
            "absolute": f"sum of absolute {what}",
        }[kind]

    def log_likelihood(self, total: float, weights: Array) -> float:
        """ln L of a fit whose summed penalties are `total`; infinite for one through every row.

        Residuals are independent with density

            p(r) = exp(-H_delta(r) / tau) / Z,   Z = sqrt(2 pi tau) erf(delta / sqrt(2 tau))
                                                     + 2 (tau / delta) exp(-delta^2 / (2 tau)),

        Gaussian as delta grows, Laplace as it shrinks, Huber's own density between. The constants
        that minimise sum H maximise L at any tau, which is profiled out. Weights divide it.

        Integration by parts gives E[r H'(r)] = tau / w, and H <= r H' <= 2 H for every Huber loss:
        so the best tau lies between one and two times the mean of w H. The likelihood has one
        maximum in ln tau, for 1 / tau is the natural parameter of an exponential family.
        """
        from scipy.optimize import minimize_scalar
        from scipy.special import erf

        sum_of_h = total * self.unit
        mean = sum_of_h / len(weights)
        if not mean > 0:
            return np.inf

        def surprise(log_tau: float) -> float:
            tau = np.exp(log_tau) / weights
            inside = np.sqrt(2 * np.pi * tau) * erf(self.delta / np.sqrt(2 * tau))
            outside = 2 * tau / self.delta * np.exp(-(self.delta**2) / (2 * tau))
            return float(np.log(inside + outside).sum() + sum_of_h / np.exp(log_tau))

        ends = (np.log(mean), np.log(2 * mean))
        best = minimize_scalar(surprise, bounds=ends, method="bounded", options={"xatol": 1e-9})
        return -float(best.fun)

    def aicc(self, total: float, weights: Array, counted: int) -> float:
        """-2 ln L + 2 k + 2 k (k + 1) / (n - k - 1), k = counted + 1 for the scale; nan for
        n <= k + 1 rows."""
        count, numbers = len(weights), counted + 1
        if count <= numbers + 1:
            return np.nan
        correction = 2 * numbers * (numbers + 1) / (count - numbers - 1)
        return -2 * self.log_likelihood(total, weights) + 2 * numbers + correction


KINDS = ("log_huber", "log_squared", "log_absolute", "raw_huber", "raw_squared", "raw_absolute")


def objective(name: str, delta: float) -> Objective:
    """One of the six by name; `delta` is of the Huber ones."""
    check_known("objective", name, KINDS)
    if not delta > 0:
        raise UserError(f"delta={delta}: the Huber width must be positive (inf for least squares)")
    log, kind = name.startswith("log"), name.split("_")[1]
    if kind == "squared":
        return Objective(name, log, float("inf"))
    if kind == "absolute":
        return Objective(name, log, NARROW, unit=NARROW)
    return Objective(name, log, delta)
