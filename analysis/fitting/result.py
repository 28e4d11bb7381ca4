"""A fitted law: constants, intervals, predictions and compute-optimal allocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import bounded_log, percentile_interval, spread
from analysis.fitting.prediction.extrapolation import Extrapolation, posterior
from analysis.fitting.prediction.held_out import HeldOut
from analysis.fitting.prediction.reach import (
    check_reach,
    distance,
    factors,
    numbers_of,
    size_of,
    trend,
)
from analysis.fitting.prediction.roll import Origin, residual_sd, roll
from analysis.fitting.solvers.engine import Engine
from analysis.fitting.tabular import Tabular
from analysis.fitting.types import LEVEL, Allocation, FitRecipe, FitStatus, Prediction, plain
from analysis.tables.points import Array, Points, check_compute
from scaling.common.errors import UserError, check_known, stated
from scaling.laws import Law
from scaling.laws._values import require

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class FitResult(Tabular):
    """A fitted law.

    `residuals` are ln(measured) - ln(fitted). `samples` (R, P) are bootstrap parameters in the
    order of `law.parameters`; R = 0 without a bootstrap.
    """

    law: Law
    estimates: Mapping[str, float]  # the optimum, with arbitrary values for unidentified names
    objective: float
    status: FitStatus
    warnings: tuple[str, ...]
    unidentified: tuple[str, ...]
    bounded: tuple[str, ...]
    points: Points
    samples: Array
    recipe: FitRecipe
    engine: Engine = field(repr=False)
    held_out: HeldOut | None = None  # the rows of `holdout`, predicted

    def __repr__(self) -> str:
        constants = ", ".join(f"{name} {value:.4g}" for name, value in self.params.items())
        return (
            f"FitResult({self.law.name}, {self.status}, {len(self.points)} rows, rms "
            f"{100 * self.rms:.2g} %: {constants}; {len(self.samples)} resamples)"
        )

    @cached_property
    def params(self) -> dict[str, float]:
        """Every constant of the law, also those that are given or tied; nan where the rows do not
        identify one."""
        known = {
            name: float("nan") if name in self.unidentified else value
            for name, value in self.estimates.items()
        }
        filled = self.law.filled(known)
        return {each.name: filled[each.name] for each in self.law.space}

    @property
    def rms(self) -> float:
        """Root mean square of the log residuals."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    @property
    def freedom(self) -> int:
        """n - P, the degrees of freedom of the residuals."""
        return len(self.points) - len(self.estimates)

    @property
    def noise(self) -> float:
        """The sd of one run's log loss about the law, n - P degrees of freedom; nan for n = P."""
        return residual_sd(self.residuals, self.points.weights, len(self.estimates))

    @cached_property
    def residuals(self) -> Array:
        fitted = self.law.predict(self.estimates, **self.points.variables)
        return np.log(self.points.loss) - np.log(fitted)

    @property
    def has_intervals(self) -> bool:
        return len(self.samples) > 0

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """Percentile interval of one parameter, for a tied one that of its tie; nan for one that
        is given, at a bound or not identified."""
        check_known(f"law '{self.law.name}' has no parameter", name, self.params)
        if not self.has_intervals:
            raise UserError(self.no_interval)
        name = self.law.equal.get(name, name)
        if name in (*self.unidentified, *self.bounded, *self.law.fixed):
            return float("nan"), float("nan")
        column = self.samples[:, self.law.parameters.index(name)]
        low, high = percentile_interval(column, level)
        return float(low), float(high)

    @cached_property
    def rolled(self) -> tuple[Origin, ...]:
        """The fit rolled forward over its rows; solved when first asked for."""
        warm = np.array([self.estimates[name] for name in self.law.parameters])
        return roll(self.law, self.points, self.engine, warm)

    @cached_property
    def extrapolation(self) -> Extrapolation:
        """The drift and the scale of errors beyond the rows, as rolling the fit shows them."""
        return posterior(self.rolled, trend(size_of(self.points.variables), self.points.loss))

    def table(self) -> pd.DataFrame:
        """A row for each constant."""
        import pandas as pd

        nothing = (float("nan"), float("nan"))
        rows = [
            (value, *(self.interval(name) if self.has_intervals else nothing))
            for name, value in self.params.items()
        ]
        return pd.DataFrame(rows, index=list(self.params), columns=["value", "low", "high"])

    @property
    def in_words(self) -> str:
        return (
            f"{self.law.form}: {self.status}, {len(self.points)} rows, rms {100 * self.rms:.2g} %"
        )

    def predict(self, level: float = LEVEL, **variables: ArrayLike) -> Prediction:
        """The loss of a new run at any x, with the interval of `prediction.extrapolation`.

        Without resamples there is no interval, and the drift stays. Raises UserError where the
        fitted rows do not determine it.
        """
        return self.predict_at(variables, level)

    def predict_at(self, variables: Mapping[str, ArrayLike], level: float = LEVEL) -> Prediction:
        """`predict`, with the variables in a mapping."""
        self.check(variables)
        fitted = self.law.predict(self.estimates, **variables)
        away = factors(variables, self.points.variables)
        if not self.has_intervals:
            nothing = np.full_like(fitted, np.nan)
            return Prediction(fitted, nothing, nothing, away, without=self.no_interval)
        drawn = self.sampled(**variables)
        parts = self.extrapolation.at(
            spread(bounded_log(drawn)), self.noise, distance(away), level, self.freedom
        )
        return Prediction.of_new_run(fitted, parts, away, percentile_interval(drawn, level))

    @property
    def lost(self) -> tuple[str, ...]:
        """Constants, the floor aside, that these rows do not determine."""
        return tuple(n for n in (*self.unidentified, *self.bounded) if n != self.law.constant)

    @property
    def has_optimum(self) -> bool:
        """True where the law splits budgets and the rows determine how."""
        return self.law.allocation is not None and not self.lost

    def check(self, variables: Mapping[str, ArrayLike]) -> None:
        """Refuse points that the fit does not determine."""
        self._need_minimum()
        if not isinstance(variables, Mapping):
            raise UserError(
                f"{stated('variables', variables)}: give a mapping from names to values"
            )
        require(self.law.variables, variables, f"predict with law '{self.law.name}'")
        check_reach(self.law, self.points.variables, variables)

    def sampled(self, **variables: ArrayLike) -> Array:
        """The prediction of every resample, (R, ...)."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in variables.values()))
        columns = self.samples.T.reshape(len(self.estimates), -1, *([1] * len(shape)))
        with np.errstate(over="ignore"):  # a wild resample is infinite far from the rows
            return self.law.predict(
                dict(zip(self.law.parameters, columns, strict=True)), **variables
            )

    def split(self, flops: ArrayLike) -> tuple[Array, Array, Array]:
        """Budgets, and their params and tokens of least loss.

        Raises:
            UserError: the rows do not determine them, or params are not those of the compute.
        """
        self._need_minimum()
        if "params" in self.recipe.columns:
            check_compute(self.points.rows, self.recipe.columns["params"])
        if self.lost:
            names = ", ".join(self.lost)
            raise UserError(f"no compute optimum: {names} not determined by these rows")
        budget = numbers_of("flops", flops)
        if not (np.isfinite(budget) & (budget > 0)).all():
            raise UserError(
                f"{stated('flops', flops)}: a compute budget must be finite and positive"
            )
        params, tokens = self.law.optimal(self.estimates, budget)
        self.check({"params": params, "tokens": tokens})
        return budget, params, tokens

    def optimal(self, flops: ArrayLike, level: float = LEVEL) -> Allocation:
        """Least loss at C = 6 params tokens; intervals are nan without a bootstrap. Raises what
        `split` raises."""
        budget, params, tokens = self.split(flops)
        names = dict(zip(self.law.parameters, self.samples.T, strict=True))
        drawn = {name: column.reshape(-1, *([1] * budget.ndim)) for name, column in names.items()}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            logs = [bounded_log(each) for each in self.law.optimal(drawn, budget)]

        def with_interval(value: Array, log_samples: Array) -> tuple[Array, Array, Array]:
            if not self.has_intervals:
                return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
            low, high = percentile_interval(log_samples, level)
            return value, np.exp(low), np.exp(high)

        return Allocation(
            flops=budget,
            params=with_interval(params, logs[0]),
            tokens=with_interval(tokens, logs[1]),
            tokens_per_param=with_interval(tokens / params, logs[1] - logs[0]),
            prediction=self.predict(level, params=params, tokens=tokens),
        )

    @property
    def budgets(self) -> Array:
        """The budget of each fitted row: the one variable of its law, or 6 params tokens."""
        return size_of(self.points.variables)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; null for a number that is not finite."""
        intervals = {
            name: plain(self.interval(name)) if self.has_intervals else None for name in self.params
        }
        return {
            "law": self.law.name,
            "form": self.law.form,
            "status": str(self.status),
            "warnings": list(self.warnings),
            "params": {name: plain(value) for name, value in self.params.items()},
            "relations": list(self.law.relations),
            "intervals": intervals,
            "level": LEVEL,
            "objective": self.objective,
            "rms_log_residual": plain(self.rms),
            "points": len(self.points),
            "fitted_on": list(self.points.labels),
            "recipe": {
                "loss": self.recipe.loss,
                "columns": dict(self.recipe.columns),
                "where": list(self.recipe.where),
                "objective": str(self.recipe.objective),
                "delta": plain(self.recipe.objective.delta),
                "bootstrap": self.recipe.bootstrap,
                "resampling": self.recipe.resampling,
                "cluster": self.recipe.cluster,
                "seed": self.recipe.seed,
                "drop_highest": self.recipe.drop_highest,
                "weights": self.recipe.weights,
                "holdout": self.recipe.holdout,
            },
        }

    @property
    def no_interval(self) -> str:
        """The reason why there is no interval; empty where there is one."""
        if self.has_intervals:
            return ""
        if not self.recipe.bootstrap:
            return "no intervals without bootstrap=1000 (--bootstrap 1000)"
        return "no intervals: these rows and this law allow none; the notes of the fit say why"

    def _need_minimum(self) -> None:
        if self.status is FitStatus.REFUSED:
            raise UserError(
                f"law '{self.law.name}': this fit is refused, for no minimum is certified, and a "
                "refused fit predicts nothing; add rows, or take a law with fewer parameters"
            )


def check_fit(*results: object) -> None:
    """Refuse what `fit` did not return."""
    for each in results:
        if not isinstance(each, FitResult):
            kind = type(each).__name__
            raise UserError(f"a {kind} where a fit was expected; give fit(law, table)")
