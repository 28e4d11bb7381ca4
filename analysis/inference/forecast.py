"""Forecasts of the held-out runs of a study: its fit, and the interval of every prediction.

The interval is that of `analysis.fitting.prediction.extrapolation`; the rungs that are rolled are
those of the study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.prediction.extrapolation import PARTS
from analysis.fitting.result import FitResult
from analysis.fitting.types import LEVEL
from analysis.tables.study import StudyRecords
from experiments.record import Forecast
from scaling.common.errors import UserError
from scaling.laws import Law

if TYPE_CHECKING:
    import pandas as pd

BOOTSTRAP = 1000
DRIFT = "drift"


@dataclass(frozen=True)
class Assessment:
    """The fit of a study, and its forecasts of the held-out runs."""

    result: FitResult
    forecasts: tuple[Forecast, ...]
    level: float
    arms: Mapping[str, Assessment] = field(default_factory=dict)  # by label, where there are labels

    @property
    def fits(self) -> tuple[FitResult, ...]:
        """The fit, or those of all labels."""
        return tuple(each.result for each in self.arms.values()) or (self.result,)

    @property
    def fitted_on(self) -> tuple[str, ...]:
        return tuple(sorted(label for each in self.fits for label in each.points.labels))

    @property
    def largest(self) -> float:
        """The largest compute of a fitted run, in FLOPs (6 N D)."""
        return max(float(each.points.rows["flops_6nd"].max()) for each in self.fits)


def forecast(
    result: FitResult, targets: pd.DataFrame, params: str, tokens: str, level: float = LEVEL
) -> tuple[Forecast, ...]:
    """Predict the rows of `targets`. Raises UserError where the fit does not determine them."""
    if not len(targets):
        return ()
    columns = _columns(result.law, params, tokens)
    variables = {name: targets[column].to_numpy(np.float64) for name, column in columns.items()}
    said = result.predict_at(variables, level)
    assert said.spread is not None and said.constants is not None
    parts = {name.replace(" ", "_"): said.spread.half_width(name) for name in PARTS}
    parts[DRIFT] = said.spread.drift
    largest = result.points.rows["flops_6nd"].max()
    return tuple(
        Forecast(
            run_id=str(row["run_id"]),
            params_total=float(row[params]),
            tokens=float(row[tokens]),
            flops_6nd=float(row["flops_6nd"]),
            loss=float(said.value[at]),
            low=float(said.low[at]),
            high=float(said.high[at]),
            bootstrap_low=float(said.constants[0][at]),
            bootstrap_high=float(said.constants[1][at]),
            beyond=max(1.0, float(row["flops_6nd"] / largest)),
            parts={name: float(each[at]) for name, each in parts.items()},
        )
        for at, (_, row) in enumerate(targets.iterrows())
    )


def drift(forecast: Forecast) -> float:
    """The drift that was added to the log of the law's loss; 0 in older files."""
    return forecast.parts[DRIFT] if forecast.parts else 0.0


def assess(
    study: StudyRecords, level: float = LEVEL, say: Callable[[str], None] = lambda _: None
) -> Assessment:
    """Fit the completed runs of the study, and predict the held-out runs.

    Runs of different labels are never taken as one: each label has its own fit and forecasts, and
    the first label's fit is that of the whole.
    """
    if not study.labels:
        return _assess(study, level, say)
    arms = {}
    for label in study.labels:
        try:
            arms[label] = _assess(study.of(label), level, say)
        except UserError as error:
            raise UserError(f"label '{label}': {error}") from error
    forecasts = tuple(each for arm in arms.values() for each in arm.forecasts)
    return replace(next(iter(arms.values())), forecasts=forecasts, arms=arms)


def _assess(study: StudyRecords, level: float, say: Callable[[str], None]) -> Assessment:
    """The assessment of runs that are taken as one.

    Small ladders lose a whole size in many pairs resamples, so the bootstrap here is by Dirichlet
    weights.
    """
    law = study.law_to_fit()
    say(f"fitting {law.name} to {len(study.fit_runs)} runs")
    result = fit(
        law,
        study.planned_fit,
        loss=study.loss,
        columns=_columns(law, study.params, study.tokens),
        bootstrap=BOOTSTRAP,
        resampling="dirichlet",
    )
    if not result.has_intervals:
        raise UserError(f"{study.folder}: no interval: {'; '.join(result.warnings)}")
    say("rolling the fit forward rung by rung")
    forecasts = forecast(result, study.held_out, study.params, study.tokens, level)
    return Assessment(result, forecasts, level)


def _columns(law: Law, params: str, tokens: str) -> dict[str, str]:
    """The columns of a study's records that hold the variables of its law."""
    known = {"params": params, "tokens": tokens, "x": "flops_6nd"}
    return {name: known.get(name, name) for name in law.variables}
