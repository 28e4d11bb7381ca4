"""A fitted law: constants, intervals, predictions and compute-optimal allocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.held_out import HeldOut
from analysis.fitting.reach import beyond, numbers_of
from analysis.fitting.solvers.engine import Engine
from analysis.fitting.types import LEVEL, Allocation, FitRecipe, FitStatus, Prediction, plain
from analysis.tables.points import (
    TIGHT,
    Array,
    Points,
    check_compute,
    distinct_values,
    values_needed,
)
from scaling.common.errors import UserError, nearest
from scaling.laws import Law
from scaling.laws._law import require


@dataclass(frozen=True, repr=False)
class FitResult:
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
        if name not in self.params:
            raise UserError(
                f"law '{self.law.name}' has no parameter '{name}': {nearest(name, self.params)}"
            )
        self._need_samples()
        name = self.law.equal.get(name, name)
        if name in (*self.unidentified, *self.bounded, *self.law.fixed):
            return float("nan"), float("nan")
        column = self.samples[:, self.law.parameters.index(name)]
        low, high = percentile_interval(column, level)
        return float(low), float(high)

    def predict(self, level: float = LEVEL, **variables: ArrayLike) -> Prediction:
        """The loss at any x. Raises UserError where the fitted rows do not determine it."""
        return self.predict_at(variables, level)

    def predict_at(self, variables: Mapping[str, ArrayLike], level: float = LEVEL) -> Prediction:
        """`predict`, with the variables in a mapping."""
        self._need_minimum()
        self._check_reach(variables)
        value = self.law.predict(self.estimates, **variables)
        factors = {
            name: beyond(variables[name], fitted) for name, fitted in self.points.variables.items()
        }
        if not self.has_intervals:
            nothing = np.full_like(value, np.nan)
            return Prediction(value, nothing, nothing, factors)
        return Prediction(value, *percentile_interval(self.sampled(**variables), level), factors)

    def sampled(self, **variables: ArrayLike) -> Array:
        """The prediction of every resample, (R, ...)."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in variables.values()))
        columns = self.samples.T.reshape(len(self.estimates), -1, *([1] * len(shape)))
        with np.errstate(over="ignore"):  # a wild resample is infinite far from the rows
            return self.law.predict(
                dict(zip(self.law.parameters, columns, strict=True)), **variables
            )

    def optimal(self, flops: ArrayLike, level: float = LEVEL) -> Allocation:
        """Least loss at C = 6 params tokens; intervals are nan without a bootstrap.

        Raises:
            UserError: the rows do not determine it, or params are not those of the compute.
        """
        self._need_minimum()
        if "params" in self.recipe.columns:
            check_compute(self.points.rows, self.recipe.columns["params"])
        lost = [n for n in (*self.unidentified, *self.bounded) if n != self.law.constant]
        if lost:
            raise UserError(f"no compute optimum: {', '.join(lost)} not determined by these rows")
        budget = numbers_of("flops", flops)
        if not (np.isfinite(budget) & (budget > 0)).all():
            raise UserError(f"flops={flops!r}: a compute budget must be finite and positive")
        params, tokens = self.law.optimal(self.estimates, budget)
        names = dict(zip(self.law.parameters, self.samples.T, strict=True))
        spread = {name: column.reshape(-1, *([1] * budget.ndim)) for name, column in names.items()}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            drawn = self.law.optimal(spread, budget)
            logs = [np.clip(np.nan_to_num(np.log(each), nan=700.0), -700, 700) for each in drawn]

        def with_interval(value: Array, log_samples: Array) -> tuple[Array, Array, Array]:
            if not self.has_intervals:
                return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
            low, high = percentile_interval(log_samples, level)
            return value, np.exp(low), np.exp(high)

        loss = self.predict(level, params=params, tokens=tokens)
        return Allocation(
            flops=budget,
            params=with_interval(params, logs[0]),
            tokens=with_interval(tokens, logs[1]),
            tokens_per_param=with_interval(tokens / params, logs[1] - logs[0]),
            loss=(loss.value, loss.low, loss.high),
            beyond={"compute": beyond(budget, self.budgets), **loss.beyond},
        )

    @property
    def budgets(self) -> Array:
        """The budget of each fitted row: the one variable of its law, or 6 params tokens."""
        if len(self.law.variables) == 1:
            return self.points.variables[self.law.variables[0]]
        return 6 * self.points.variables["params"] * self.points.variables["tokens"]

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

    def _need_samples(self) -> None:
        if not self.has_intervals:
            why = "this fit allows none" if self.recipe.bootstrap else "no bootstrap was run"
            raise UserError(f"no interval, {why}: call fit(..., bootstrap=1000)")

    def _need_minimum(self) -> None:
        if self.status is FitStatus.REFUSED:
            raise UserError(
                f"law '{self.law.name}': this fit is refused, for no minimum is certified, and a "
                "refused fit predicts nothing; add rows, or take a law with fewer parameters"
            )

    def _check_reach(self, variables: Mapping[str, ArrayLike]) -> None:
        require(self.law.variables, variables, f"predict with law '{self.law.name}'")
        logs = []
        for name, value in variables.items():
            numbers = numbers_of(name, value)
            if not (np.isfinite(numbers) & (numbers > 0)).all():
                raise UserError(f"{name}={value!r}: must be finite and positive")
            logs.append(np.log(numbers))
            seen = distinct_values(np.log(self.points.variables[name]))
            known = np.isclose(logs[-1][..., None], seen, rtol=0, atol=1e-6).any(axis=-1)
            if len(seen) < values_needed(self.law) and not known.all():
                raise UserError(
                    f"{name}={value!r}: the fitted rows hold only {len(seen)} value(s) of {name}, "
                    "so the fit determines no other value; add runs at more values"
                )
        try:
            stacked = np.stack(np.broadcast_arrays(*logs)).reshape(len(logs), -1)
        except ValueError as error:
            shapes = ", ".join(
                f"{name} {log.shape}" for name, log in zip(variables, logs, strict=True)
            )
            raise UserError(f"predict: shapes that do not go together: {shapes}") from error
        order = [list(variables).index(name) for name in self.points.variables]
        centre = self.points.log_x.mean(axis=1, keepdims=True)
        basis, strength, _ = np.linalg.svd(self.points.log_x - centre, full_matrices=False)
        basis = basis[:, strength > TIGHT * max(strength.max(), TIGHT)]
        offset = stacked[order] - centre
        if np.abs(offset - basis @ (basis.T @ offset)).max() > 1e-6:
            raise UserError(
                f"the fitted rows tie {' and '.join(self.law.variables)} together, and this point "
                "is off that line; add runs that vary them apart"
            )
