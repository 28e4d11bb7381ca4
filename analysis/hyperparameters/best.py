"""The best value of one setting, from a sweep over it alone, as a number with its interval.

    loss_sv = seed_s + c1 u + c2 u^2 + c3 u^3 + noise,    u = ln value,    best = exp of the minimum

by least squares over the values within `REACH` octaves of the best one tried. The interval is that
of the delta method with Student's t. The cubic term is there because losses rise faster towards
divergence: with a rise 2.2 times as steep above as below, a parabola through three seeds of seven
values held the truth in 0 to 8 % of 400 draws, and the cubic in 92 to 97 %. It needs five runs near
the best. A best value at the edge of those tried is a bound, and no measurement.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.prediction.reach import numbers_of
from analysis.fitting.tabular import Tabular
from analysis.fitting.types import LEVEL
from analysis.hyperparameters.optimum import Surface, Where
from analysis.tables.points import Array
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

REACH = 2.0  # octaves to each side of the best value tried
DEGREE = 3
REMEDIES = {
    Where.LOW: "try lower values",
    Where.HIGH: "try higher values",
    Where.TOO_FEW: f"try five or more within {REACH:g} octaves of the best, or more seeds",
    Where.NOT_CONVEX: "add seeds, or values further away",
}


@dataclass(frozen=True)
class BestSetting(Tabular):
    """A setting's best value with the ends of its 95 % interval, and the loss there.

    Where it is a bound, the value is the edge and the interval is open to that side. Where there is
    no minimum, it is the best value tried, without an interval.
    """

    value: float
    low: float
    high: float
    loss: float
    where: Where
    runs: int

    @property
    def reason(self) -> str:
        """The reason for a missing interval, with the remedy; empty for a measurement."""
        return f"{self.where}: {REMEDIES[self.where]}" if self.where in REMEDIES else ""

    def table(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        return pd.DataFrame([asdict(self) | {"where": str(self.where)}])

    @property
    def in_words(self) -> str:
        return self.reason or "The minimum of a cubic in ln value, with its 95 % interval"


def best_setting(values: Array, losses: Array) -> BestSetting:
    """The best of V positive values from losses [S, V] of S seeds, or of one row of repeats [1, n].

    Values may come in any order and again.

    Raises:
        UserError: values that are not positive, or losses of another shape.
    """
    values, losses = numbers_of("values", values), numbers_of("losses", losses)
    if values.ndim != 1 or losses.ndim != 2 or losses.shape[1] != len(values):
        raise UserError(
            f"best_setting: values of shape {values.shape} and losses of {losses.shape}; give V "
            "values, and a row of V losses for each seed"
        )
    if not (np.isfinite(values) & (values > 0)).all() or not np.isfinite(losses).all():
        raise UserError("best_setting: give positive values and finite losses")
    u, S = np.log(values), len(losses)
    level = losses - losses.mean(axis=1, keepdims=True) + losses.mean()  # no seed is better
    tried = np.unique(u)
    means = np.array([level[:, u == each].mean() for each in tried])
    best, least = tried[np.argmin(means)], float(means.min())
    near = np.abs(u - best) <= REACH * math.log(2) + 1e-9
    runs = S * int(near.sum())

    def without_minimum(where: Where) -> BestSetting:
        low, high = math.exp(tried[0]), math.exp(tried[-1])
        if where is Where.LOW:
            return BestSetting(low, 0.0, low, least, where, runs)
        if where is Where.HIGH:
            return BestSetting(high, high, math.inf, least, where, runs)
        return BestSetting(math.exp(best), math.nan, math.nan, least, where, runs)

    if best in (tried[0], tried[-1]):
        return without_minimum(Where.LOW if best == tried[0] else Where.HIGH)
    surface = Surface.fit(np.tile(u[near], S)[:, None], level[:, near].ravel(), DEGREE)
    freedom = 0 if surface is None else surface.freedom - (S - 1)
    if surface is None or freedom < 1:
        return without_minimum(Where.TOO_FEW)
    if not surface.convex:
        return without_minimum(Where.NOT_CONVEX)
    place = float(surface.vertex[0])
    if not tried[0] < place < tried[-1]:
        return without_minimum(Where.LOW if place <= tried[0] else Where.HIGH)
    sd = float(surface.vertex_sd[0]) * math.sqrt(surface.freedom / freedom)
    value, reach = math.exp(place), math.exp(student_t(LEVEL, freedom) * sd)
    return BestSetting(value, value / reach, value * reach, surface.least, Where.INSIDE, runs)
