"""The error of a law beyond its rows: the posterior of a small model, given the fit rolled forward.

The log error of a new run at a distance h (`reach`) beyond the fitted rows is

    e = mu h + eps,    eps ~ N(0, a^2 u),    u = b^2 + s^2 + (tau h)^2,

b the sd of the log prediction over the resamples (constants), s that of the residuals (run noise),
and tau h that of the law, which bends by a slope of its own on every extrapolation. The drift mu
and the scale a are those of the table: all its extrapolations share them. Their prior is

    a^2 ~ nu / chi^2_nu,    mu | a^2 ~ N(0, a^2 m^2).

Rolling the fit (`roll`) gives K origins with errors e_kj at their later runs. The errors of one
origin share its fit, so they count as one observation: run j has the share w_kj of the likelihood,
sum_j w_kj = 1. Each has b, s and h of its own origin. The prior is conjugate, so

    p = 1 / m^2 + sum w h^2 / u,    mu^ = sum w h e / u / p,
    a^^2 = (nu + sum w e^2 / u - p mu^^2) / (nu + K),

and the log loss of a new run is Student's t with nu + K degrees of freedom about ln L + mu^ h, of
scale a^ sqrt(b^2 + s^2 + (tau^2 + 1 / p) h^2). Without an origin the sums are empty: the prior
alone gives a wide t_4 interval. Errors of the expected size narrow it; larger ones widen it.

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

NU = 4.0  # weight of the prior of a, in origins
TAU = 0.006  # sd of the log loss per e-fold of reach: slopes of single extrapolations
DRIFT = 0.005  # prior sd of mu, per e-fold
PARTS = ("constants", "run noise", "law")
SEEN = 5e-4  # a drift per decade below it is not worth a word


@dataclass(frozen=True)
class Extrapolation:
    """The posterior: a^, mu^ and its sd over a^ (p^-1/2), of K `origins`."""

    scale: float
    drift: float
    drift_sd: float
    origins: int

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t."""
        return NU + self.origins

    @property
    def drift_per_decade(self) -> float:
        """Measured over predicted at a reach of ten, less 1."""
        return math.expm1(self.drift * math.log(10))

    def at(self, constants: Array, noise: float, distance: Array, level: float) -> Spread:
        """The interval of a new run: b and h (...), s."""
        return Spread(
            constants=constants,
            noise=np.full_like(constants, noise),
            law=math.hypot(TAU, self.drift_sd) * distance,
            drift=self.drift * distance,
            level=level,
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
    """Parts of an interval as sds of the log loss before the scale a^: `constants`, `noise` and
    `law`, each (...); `drift` is added to the log loss of the law."""

    constants: Array
    noise: Array
    law: Array
    drift: Array
    level: float
    of: Extrapolation

    def half_width(self, *parts: str) -> Array:
        """t a^ sqrt(sum of squares) of the named parts of the log loss; of all, the interval's."""
        known = dict(zip(PARTS, (self.constants, self.noise, self.law), strict=True))
        if unknown := set(parts) - known.keys():
            raise UserError(f"interval of {', '.join(sorted(unknown))}: name {', '.join(PARTS)}")
        squares = sum(known[name] ** 2 for name in parts or PARTS)
        return np.asarray(student_t(self.level, self.of.freedom) * self.of.scale * squares**0.5)

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


def posterior(origins: Sequence[Origin]) -> Extrapolation:
    """The posterior, given the rolled origins; the prior where there are none."""
    precision, pull, squares = DRIFT**-2, 0.0, 0.0
    for each in origins:
        weight = each.share / (each.constants**2 + each.noise**2 + (TAU * each.distance) ** 2)
        precision += float(weight @ each.distance**2)
        pull += float(weight @ (each.distance * each.log_errors))
        squares += float(weight @ each.log_errors**2)
    drift = pull / precision
    scale = math.sqrt((NU + squares - precision * drift**2) / (NU + len(origins)))
    return Extrapolation(scale, drift, precision**-0.5, len(origins))
