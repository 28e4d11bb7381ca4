"""Power laws of optimal hyperparameters: h*(x) = c prod_k x_k^p_k.

    ln h = ln c + sum_k p_k ln x_k,   weighted least squares, in closed form

All resamples of the bootstrap are weightings of the same rows, solved as one batch of normal
equations. Cells are few (5 to 20), where percentiles of a bootstrap are too narrow. So the level is
expanded to 2 Phi(sqrt(n / (n - P)) t) - 1, with t of n - P degrees of freedom for n resampled units
(Hesterberg 2015, The American Statistician 69, section 5.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fitting.bootstrap import Resampling, expanded, percentile_interval, resample_weights
from analysis.fitting.prediction.reach import beyond
from analysis.fitting.types import LEVEL, Prediction
from analysis.hyperparameters.cells import describe
from analysis.hyperparameters.optimum import Optima, Where
from analysis.tables.columns import Array, named
from analysis.tables.points import check_spans, select
from scaling.common.errors import UserError, nearest
from scaling.laws._values import require

if TYPE_CHECKING:
    import pandas as pd

COEFFICIENT = "coefficient"
FINEST = 1e-6  # standard error of a log optimum below which one counts no more than another
SINGULAR = 1e-9  # of the scaled normal matrix: least over greatest eigenvalue
SCATTERED = 2.0  # times more scatter than the errors of the cells explain, for a warning


@dataclass(frozen=True)
class OptimumLaw:
    """A fitted h*(x). `samples` (R, 1 + K) hold ln c and the exponents of each resample, R = 0
    where the rows allow no interval; `units` counts the resampled cells or runs. `scatter` is
    the root mean square of ln h - ln h*(x), nan where no single h was fitted; `fitted_on` is the
    range of each variable."""

    hyper: str
    variables: tuple[str, ...]
    estimate: Array  # (1 + K,)
    samples: Array
    units: int
    scatter: float
    fitted_on: Mapping[str, tuple[float, float]]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def params(self) -> dict[str, float]:
        """`coefficient`, in the units of the table, and the exponent of each variable."""
        return {
            COEFFICIENT: math.exp(self.estimate[0]),
            **dict(zip(self.variables, self.estimate[1:].tolist(), strict=True)),
        }

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """Expanded percentile interval of the coefficient or of one exponent."""
        names = (COEFFICIENT, *self.variables)
        if name not in names:
            raise UserError(f"law of '{self.hyper}' has no '{name}': {nearest(name, names)}")
        if not len(self.samples):
            raise UserError(f"no interval of '{name}': {'; '.join(self.warnings) or 'bootstrap=0'}")
        column = self.samples[:, names.index(name)]
        low, high = percentile_interval(column, self._expanded(level))
        ends = (float(low), float(high))
        return (math.exp(ends[0]), math.exp(ends[1])) if name == COEFFICIENT else ends

    def predict(self, level: float = LEVEL, **variables: ArrayLike) -> Prediction:
        """h* at any x, with the uncertainty of the constants and not of the law's form."""
        require(self.variables, variables, f"predict '{self.hyper}'")
        logs = []
        for name in self.variables:
            values = np.asarray(variables[name], np.float64)
            if not (np.isfinite(values) & (values > 0)).all():
                raise UserError(f"{name}={variables[name]!r}: must be finite and positive")
            logs.append(np.log(values))
        x = np.stack(np.broadcast_arrays(1.0, *logs))
        value = np.exp(np.tensordot(self.estimate, x, 1))
        distance = {
            name: beyond(variables[name], np.array(self.fitted_on[name])) for name in self.variables
        }
        if not len(self.samples):
            nothing = np.full_like(value, np.nan)
            return Prediction(value, nothing, nothing, distance)
        drawn = np.tensordot(self.samples, x, 1)
        low, high = percentile_interval(drawn, self._expanded(level))
        return Prediction(value, np.exp(low), np.exp(high), distance)

    def _expanded(self, level: float) -> float:
        return expanded(level, self.units, len(self.estimate))

    def __str__(self) -> str:
        powers = " ".join(
            f"{name}^{power:.3f}"
            for name, power in zip(self.variables, self.estimate[1:], strict=True)
        )
        return f"{self.hyper} = {self.params[COEFFICIENT]:.4g} {powers}"


def law_of_optima(
    optima: Optima,
    hyper: str,
    variables: tuple[str, ...],
    *,
    bootstrap: int = 1000,
    resampling: Resampling = "dirichlet",
    seed: int = 0,
) -> OptimumLaw:
    """h*(x) through the optima of the cells, each weighted by 1 / sd^2 of its logarithm.

    Cells without a value, bounds among them, are left out and named. Dirichlet weights by default:
    no resample loses a cell, of which there are few.
    """
    entries = optima.of(hyper)
    used = [each for each in entries if each.status is Where.INSIDE]
    left_out = tuple(
        f"{describe(each.cell)}: {each.status}"
        for each in entries
        if each.status is not Where.INSIDE
    )
    unknown = [name for name in variables if name not in optima.cell]
    if unknown:
        raise UserError(
            f"'{unknown[0]}' is no column of the cell: {nearest(unknown[0], optima.cell)}"
        )
    log_x = np.log([[each.cell[name] for name in variables] for each in used]).reshape(
        len(used), len(variables)
    )
    log_h = np.log([each.value for each in used])
    variance = np.array([each.log_sd for each in used]) ** 2 + FINEST**2
    law = _fit(
        hyper, variables, log_x, log_h, 1 / variance, np.arange(len(used)),
        bootstrap, resampling, seed,
    )  # fmt: skip
    notes = list(law.warnings)
    if left_out:
        notes.append(f"{len(left_out)} of {len(entries)} cells left out: {'; '.join(left_out)}")
    freedom = len(used) - 1 - len(variables)
    if freedom:
        residual = log_h - law.estimate[0] - log_x @ law.estimate[1:]
        ratio = math.sqrt(float(np.sum(residual**2 / variance)) / freedom)
        if ratio > SCATTERED:
            notes.append(
                f"the cells scatter about the law {ratio:.1f} times more than their own errors "
                "explain: the surface or the law is incomplete"
            )
    return replace(law, warnings=tuple(notes), left_out=left_out)


def regress(
    table: pd.DataFrame,
    hyper: str,
    variables: tuple[str, ...],
    *,
    cluster: tuple[str, ...] | None = None,
    bootstrap: int = 1000,
    resampling: Resampling = "pairs",
    seed: int = 0,
) -> OptimumLaw:
    """h(x) through the rows of a table, unweighted.

    `cluster` names the columns whose combinations are resampled as a whole. Near-optimal runs of
    one cell rise and fall together, so cluster=cell gives the valid interval. Each run by itself
    (None) gives the interval that Step Law published.
    """
    points = select(table, {name: name for name in variables}, hyper, None, 0)
    together: NDArray[np.intp] = np.arange(len(points), dtype=np.intp)
    if cluster is not None:
        cells = [named(points.rows, name).to_numpy() for name in cluster]
        together = np.asarray(points.rows.groupby(cells).ngroup(), np.intp)
    law = _fit(
        hyper, variables, points.log_x.T, np.log(points.loss), np.ones(len(points)), together,
        bootstrap, resampling, seed,
    )  # fmt: skip
    return replace(law, warnings=(*points.notes, *law.warnings))


def _fit(
    hyper: str,
    variables: tuple[str, ...],
    log_x: Array,
    log_h: Array,
    weights: Array,
    together: NDArray[np.intp],
    bootstrap: int,
    resampling: Resampling,
    seed: int,
) -> OptimumLaw:
    """Weighted least squares of log_h (n,) on log_x (n, K), and its bootstrap by `together`."""
    size = 1 + len(variables)
    units = len(np.unique(together))
    if units < size:
        raise UserError(
            f"law of '{hyper}': {units} usable cell(s) or run(s) for {size} constants; add more, "
            "widen the grids of those at an edge, or use fewer variables"
        )
    solve = WeightedLines(log_x, log_h)
    notes = list(check_spans(f"law of '{hyper}'", variables, log_x.T))
    estimate, _ = solve(weights[None])
    samples = np.empty((0, size))
    if units == size:
        notes.append(f"{units} cells for {size} constants: the law passes through them exactly")
    elif bootstrap:
        drawn = resample_weights(resampling, together, bootstrap, seed, size)
        found, usable = solve(drawn * weights)
        samples = found[usable]
        if not usable.all():
            notes.append(f"{int((~usable).sum())} of {bootstrap} resamples determine no law")
    residual = log_h - estimate[0, 0] - log_x @ estimate[0, 1:]
    return OptimumLaw(
        hyper=hyper,
        variables=variables,
        estimate=estimate[0],
        samples=samples,
        units=units,
        scatter=float(np.sqrt(np.mean(residual**2))),
        fitted_on=spans(variables, log_x),
        warnings=tuple(notes),
    )


def spans(variables: tuple[str, ...], log_x: Array) -> dict[str, tuple[float, float]]:
    """Least and greatest of each variable, from their logarithms (n, K)."""
    ends = np.exp([log_x.min(axis=0), log_x.max(axis=0)]).T.tolist()
    return {name: (low, high) for name, (low, high) in zip(variables, ends, strict=True)}


class WeightedLines:
    """ln h on ln x under many weightings: (R, n) -> (coefficients (R, 1 + K), solvable (R,))."""

    def __init__(self, log_x: Array, log_h: Array) -> None:
        self.centre = log_x.mean(axis=0)
        design = np.column_stack([np.ones(len(log_x)), log_x - self.centre])
        self.outer = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
        self.right = design * log_h[:, None]

    def __call__(self, weights: Array) -> tuple[Array, NDArray[np.bool_]]:
        size = self.right.shape[1]
        normal = (weights @ self.outer).reshape(-1, size, size)
        scale = np.sqrt(np.maximum(np.einsum("rii->ri", normal), 1e-300))
        scaled = normal / (scale[:, :, None] * scale[:, None, :])
        spectrum = np.linalg.eigvalsh(scaled)
        usable = spectrum[:, 0] > SINGULAR * spectrum[:, -1]
        scaled[~usable] = np.eye(size)
        right = weights @ self.right / scale
        found = np.linalg.solve(scaled, right[..., None])[..., 0] / scale
        found[:, 0] -= found[:, 1:] @ self.centre
        return found, usable
