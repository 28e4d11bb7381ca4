"""Fit a law of loss curves to whole curves, each under its own learning-rate schedule.

The points are the evaluations of all curves, minimised together as in `analysis.fitting.fit`.
Points along a curve are not independent, so there is no bootstrap. `score` measures a fit on curves
under schedules that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.identifiability import unidentified
from analysis.fitting.solvers.engine import engine
from analysis.fitting.solvers.objective import objective as named_objective
from analysis.fitting.types import FitStatus
from analysis.tables.points import Array, Points
from scaling.common.errors import UserError
from scaling.laws._law import Law
from scaling.laws.annealing import VARIABLES, features

STARTS = 1  # the best of the grid, directly and by continuation: eight end no lower on real curves


@dataclass(frozen=True, eq=False)
class LossCurve:
    """Losses (n,) measured at `steps` (n,) of the schedule `lrs` (T,), lrs[t] at step t from 0."""

    name: str
    lrs: Array
    steps: Array
    loss: Array

    @cached_property
    def features(self) -> dict[str, Array]:
        """The variables of the laws of `scaling.laws.annealing` at the measured steps."""
        return features(self.lrs, self.steps)


@dataclass(frozen=True)
class CurveFit:
    """A law fitted to curves; `objective` is summed over all their points."""

    law: Law
    params: Mapping[str, float]
    objective: float
    status: FitStatus
    warnings: tuple[str, ...]
    curves: tuple[LossCurve, ...]

    def predict(self, lrs: ArrayLike, steps: ArrayLike) -> Array:
        """The loss at `steps` of any schedule."""
        return self.law.predict(self.params, **features(lrs, steps))


@dataclass(frozen=True)
class Score:
    """Errors of a predicted curve: R2 of the loss, mean absolute and worst relative error."""

    r2: float
    mae: float
    worst: float


def score(measured: ArrayLike, predicted: ArrayLike) -> Score:
    """Both (n,), in the unit of the loss."""
    loss = np.asarray(measured, np.float64)
    error = loss - np.asarray(predicted, np.float64)
    return Score(
        r2=float(1 - np.sum(error**2) / np.sum((loss - loss.mean()) ** 2)),
        mae=float(np.abs(error).mean()),
        worst=float((np.abs(error) / loss).max()),
    )


def fit_curves(
    law: Law, curves: Sequence[LossCurve], *, objective: str = "log_huber", delta: float = 1e-3
) -> CurveFit:
    """The law of `scaling.laws.annealing` that fits all points of all curves best.

    Raises UserError for a law of other variables, and for losses that cannot be fitted.
    """
    if law.variables != VARIABLES:
        raise UserError(
            f"law '{law.name}' is not one of loss curves: use multi_power or annealing_momentum"
        )
    points = _points(curves)
    if len(points) < len(law.parameters):
        raise UserError(
            f"law '{law.name}' has {len(law.parameters)} parameters and the curves {len(points)} "
            "point(s): add curves, or choose a law with fewer parameters"
        )
    run = engine(law, points, named_objective(objective, delta))
    best = run(points.weights[None], STARTS, None)
    found = dict(zip(law.parameters, best.values[0].tolist(), strict=True))
    lost, why = unidentified(law, points, found)
    bounded = [
        name
        for name, held in zip(law.parameters, best.held[0], strict=True)
        if held and name not in lost
    ]
    notes = [*why, *(f"{name} is at a bound" for name in bounded)]
    status = FitStatus.AT_BOUND if bounded else FitStatus.CONVERGED
    if not best.certified[0]:
        status = FitStatus.REFUSED
        notes.append("the solver could not certify a minimum: do not use these numbers")
    if lost:
        status = FitStatus.NOT_IDENTIFIED
    return CurveFit(law, found, float(best.objective[0]), status, tuple(notes), tuple(curves))


def _points(curves: Sequence[LossCurve]) -> Points:
    """All curves below each other, their features filled up with changes of nothing."""
    import pandas as pd

    for curve in curves:
        if curve.loss.shape != curve.steps.shape:
            raise UserError(f"curve '{curve.name}': need one loss for each of its steps")
        if not (np.isfinite(curve.loss) & (curve.loss > 0)).all():
            raise UserError(f"curve '{curve.name}': losses must be finite and positive")
    if not curves:
        raise UserError("no curves: nothing to fit")
    width = max(curve.features["drop"].shape[1] for curve in curves)
    stacked = {
        name: np.concatenate([_widened(curve.features[name], name, width) for curve in curves])
        for name in VARIABLES
    }
    rows = pd.DataFrame(
        {
            "curve": np.repeat([curve.name for curve in curves], [len(c.loss) for c in curves]),
            "step": np.concatenate([curve.steps for curve in curves]),
            "loss": np.concatenate([curve.loss for curve in curves]),
        }
    )
    loss = rows["loss"].to_numpy(np.float64)
    labels = (rows["curve"] + " step " + rows["step"].astype(str)).tolist()
    return Points(stacked, loss, np.ones(len(loss)), tuple(labels), rows)


def _widened(values: Array, name: str, width: int) -> Array:
    if name == "lr_sum":
        return values
    filled = 1.0 if name == "drop_lr" else 0.0
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=filled)
