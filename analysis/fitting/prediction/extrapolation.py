"""The error of a law beyond its rows: the posterior of a small model, given the fit rolled forward.

The log error of a new run at a distance h (`reach`) beyond the fitted rows is

    e = mu f h + eps,    eps ~ N(0, a^2 u),    u = b^2 + s^2 + (tau f h)^2,

b the sd of the log prediction over the resamples (constants), s that of the residuals (run noise),
and f the fall of ln L over an e-fold of compute in the rows (`reach.trend`). The law errs by shares
of the fall f h: one of sd tau, its own on every extrapolation, and the drift mu, which all
extrapolations of the table have in common, as they have the scale a. The prior of both is

    a^2 ~ nu / chi^2_nu,    mu | a^2 ~ N(0, a^2 m^2).

Rolling the fit (`roll`) gives K origins with errors e_kj at their later runs. The errors of one
origin share its fit, so they count as one observation: run j has the share w_kj of the likelihood,
sum_j w_kj = 1. Each has b, s and h of its own origin. The prior is conjugate, so

    p = 1 / m^2 + sum w (f h)^2 / u,    mu^ = sum w f h e / u / p,
    a^^2 = (nu + sum w e^2 / u - p mu^^2) / (nu + K),

and the log loss of a new run is Student's t with nu + K degrees of freedom about ln L + mu^ f h,
of scale a^ sqrt(b^2 + s^2 + (tau^2 + 1 / p) (f h)^2). Without an
origin the sums are empty, and the prior alone gives a wide t_2 interval: nothing has tested the law
then, and two rungs show no bend. Errors of the expected size narrow it; larger ones widen it.

Errors smaller than expected say that the law bends little, not that runs are quieter. So the
quantile of b and s, t_(nu + K) a^, has a floor: that of Student's t itself, of n - P degrees of
freedom, those of s, or of nu + K where that is more.

Limits: a break beyond the last rung does not show in the rows. docs/intervals.md says more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.prediction.roll import Origin
from analysis.tables.points import Array
from scaling.common.errors import UserError

NU = 2.0  # weight of the prior of a, in origins
TAU = 0.1  # of the fall of ln L: sd of the law's error on one extrapolation
DRIFT = 0.05  # of the fall: prior sd of mu
PARTS = ("constants", "run noise", "law")
SEEN = 5e-4  # a drift per decade below it is not worth a word


@dataclass(frozen=True)
class Extrapolation:
    """The posterior: a^, mu^ and its sd over a^ (p^-1/2), of K `origins`; `trend` is f of all."""

    scale: float
    drift: float
    drift_sd: float
    origins: int
    trend: float

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t."""
        return NU + self.origins

    @property
    def drift_per_decade(self) -> float:
        """Measured over predicted at a reach of ten, less 1."""
        return math.expm1(self.drift * self.trend * math.log(10))

    def at(
        self, constants: Array, noise: float, distance: Array, level: float, residual_freedom: int
    ) -> Spread:
        """The interval of a new run: b and h (...), s, and the n - P degrees of freedom of s."""
        return Spread(
            constants=constants,
            noise=np.full_like(constants, noise),
            law=math.hypot(TAU, self.drift_sd) * self.trend * distance,
            drift=self.drift * self.trend * distance,
            level=level,
            residual_freedom=residual_freedom,
            of=self,
        )

    def __str__(self) -> str:
        """Contents and evidence of the interval, as every printed line says them."""
        rungs = f"{self.origins} rung{'s' * (self.origins != 1)}" if self.origins else "no rung"
        said = f"{', '.join(PARTS)}; {rungs} rolled"
        if abs(self.drift_per_decade) < SEEN:
            return said
        return f"{said}; drift {100 * self.drift_per_decade:+.2g} % per decade removed"


@dataclass(frozen=True)
class Spread:
    """Parts of an interval as sds of the log loss before their scale: `constants`, `noise` and
    `law`, each (...); `drift` is added to the log loss of the law."""

    constants: Array
    noise: Array
    law: Array
    drift: Array
    level: float
    residual_freedom: int
    of: Extrapolation

    def half_width(self, *parts: str) -> Array:
        """The named parts of the log loss, joined in squares; of all, the interval's."""
        law = student_t(self.level, self.of.freedom) * self.of.scale
        own = max(law, student_t(self.level, max(self.residual_freedom, self.of.freedom)))
        halves = own * self.constants, own * self.noise, law * self.law
        known = dict(zip(PARTS, halves, strict=True))
        if unknown := set(parts) - known.keys():
            raise UserError(f"interval of {', '.join(sorted(unknown))}: name {', '.join(PARTS)}")
        squares = sum(known[name] ** 2 for name in parts or PARTS)
        return np.asarray(squares**0.5)

    def to_json(self) -> dict[str, Any]:
        """Log half-widths of each part, the drift, and the posterior."""
        return {
            "parts": {name: self.half_width(name).tolist() for name in PARTS},
            "drift": self.drift.tolist(),
            "level": self.level,
            "scale": self.of.scale,
            "freedom": self.of.freedom,
            "origins": self.of.origins,
            "drift_per_decade": self.of.drift_per_decade,
        }


def posterior(origins: Sequence[Origin], trend: float) -> Extrapolation:
    """The posterior, given the rolled origins; the prior where there are none."""
    precision, pull, squares = DRIFT**-2, 0.0, 0.0
    for each in origins:
        weight = each.share / (each.constants**2 + each.noise**2 + (TAU * each.fall) ** 2)
        precision += float(weight @ each.fall**2)
        pull += float(weight @ (each.fall * each.log_errors))
        squares += float(weight @ each.log_errors**2)
    drift = pull / precision
    scale = math.sqrt((NU + squares - precision * drift**2) / (NU + len(origins)))
    return Extrapolation(scale, drift, precision**-0.5, len(origins), trend)
