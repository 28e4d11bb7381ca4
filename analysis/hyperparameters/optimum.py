"""The best hyperparameters of each cell, as the vertex of a surface through its runs.

    L = L* + (u - u*)^T A (u - u*) + ...,   u = ln h

by least squares over the runs near the least loss of the cell: a parabola for one hyperparameter, a
quadratic surface for two, or a polynomial of higher degree. The standard error of the vertex is
that of the delta method, from the covariance of the coefficients.

A vertex is a measurement only inside the grid. At or beyond an edge of the grid it is a bound. A
surface that is not convex beyond its noise has none. The status tells them apart.

Bowls are steeper towards divergence, so a quadratic over a wide window puts the vertex too low. On
the grids of Step Law it errs by several standard errors. `drift` shows this: the distance that the
vertex moves when the window is halved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.bootstrap import student_t
from analysis.fitting.tabular import Tabular
from analysis.fitting.types import LEVEL
from analysis.hyperparameters.cells import Cells, cells, check_within, describe
from analysis.tables.points import Array
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

CONVEX = 2.0  # standard errors by which the least curvature must exceed zero
DRIFTED = 2.0  # standard errors that a vertex may move when its window is halved
STEPS, STRIDE, STILL = 100, 0.5, 1e-10  # of Newton's search for the vertex, in ln h


class Where(StrEnum):
    """Place of the optimum of a hyperparameter, which decides the meaning of its value."""

    INSIDE = "inside the grid"  # a measurement
    LOW = "at or below the low edge of the grid"  # the value is an upper bound
    HIGH = "at or above the high edge of the grid"  # the value is a lower bound
    BESIDE = "another hyperparameter of the cell is at an edge"  # no value
    NOT_CONVEX = "not convex beyond the noise"  # no value
    TOO_FEW = "too few runs near the minimum"  # no value


BOUNDS = (Where.LOW, Where.HIGH)


@dataclass(frozen=True)
class CellOptimum:
    """One hyperparameter of one cell.

    `value` is exp u*, or the edge of the grid where that bounds it, else nan. `log_sd` is the
    standard error of u* by the delta method. `drift` is u* less that of half the window, nan where
    that has too few runs. `loss` is the least of the surface. `doubling` is the loss added by twice
    or half the optimum, to second order, with the others at theirs. All four are nan without a
    vertex inside the grid. `runs` counts those near the minimum, `freedom` the degrees left.
    """

    cell: Mapping[str, float]
    hyper: str
    value: float
    log_sd: float
    drift: float
    status: Where
    loss: float
    doubling: float
    runs: int
    freedom: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """exp(u* -+ t sd); for a bound, the side that the grid leaves open."""
        if self.status in BOUNDS:
            return (0.0, self.value) if self.status is Where.LOW else (self.value, math.inf)
        if self.status is not Where.INSIDE:
            return math.nan, math.nan
        reach = math.exp(student_t(level, self.freedom) * self.log_sd)
        return self.value / reach, self.value * reach


@dataclass(frozen=True)
class Optima(Tabular):
    """Optima by cell and hyperparameter, with warnings about those without a value."""

    cell: tuple[str, ...]
    hyper: tuple[str, ...]
    entries: tuple[CellOptimum, ...]
    warnings: tuple[str, ...]

    def of(self, hyper: str) -> tuple[CellOptimum, ...]:
        """The entries of one hyperparameter."""
        if hyper not in self.hyper:
            raise UserError(f"no optimum of '{hyper}' was fitted: {nearest(hyper, self.hyper)}")
        return tuple(entry for entry in self.entries if entry.hyper == hyper)

    def table(self) -> pd.DataFrame:
        """One row for each cell and hyperparameter, with the 95 % interval."""
        import pandas as pd

        rows = []
        for entry in self.entries:
            low, high = entry.interval()
            rows.append(
                {
                    **entry.cell,
                    "hyper": entry.hyper,
                    "optimum": entry.value,
                    "low": low,
                    "high": high,
                    "drift": entry.drift,
                    "where": str(entry.status),
                    "loss": entry.loss,
                    "doubling": entry.doubling,
                    "runs": entry.runs,
                }
            )
        return pd.DataFrame(rows)

    @property
    def in_words(self) -> str:
        return "; ".join((f"The best {', '.join(self.hyper)} of each cell", *self.warnings))


def optimum_per_cell(
    table: pd.DataFrame,
    *,
    cell: tuple[str, ...],
    hyper: tuple[str, ...],
    loss: str = "loss",
    within: float = 0.02,
    degree: int = 2,
) -> Optima:
    """The vertex of each cell, from its runs with a loss at most 1 + `within` times the least.

    A surface needs one run more than it has coefficients: at `degree` 2, 4 for one hyperparameter
    and 7 for two; at degree 4, 6 and 16. A cell whose best run is at an edge of its grid is a
    bound, with any surface.
    """
    check_within(within)
    if degree < 2:
        raise UserError(f"degree={degree}: a surface with a minimum has a degree of 2 or more")
    runs = cells(table, cell, hyper, loss)
    entries = [entry for at in range(len(runs)) for entry in _cell(runs, at, within, degree)]
    warnings = list(runs.notes)
    for status in Where:
        found = [each for each in entries if each.status is status is not Where.INSIDE]
        if found:
            named = "; ".join(f"{each.hyper} at {describe(each.cell)}" for each in found)
            warnings.append(f"{status}: {named}")
    warnings += [note for name in hyper for note in _drift_note(name, entries)]
    return Optima(cell, hyper, tuple(entries), tuple(warnings))


def _drift_note(hyper: str, entries: list[CellOptimum]) -> list[str]:
    known = [each for each in entries if each.hyper == hyper and math.isfinite(each.drift)]
    moved = [each for each in known if abs(each.drift) > DRIFTED * each.log_sd]
    if not moved:
        return []
    middle = math.expm1(float(np.median([each.drift for each in moved])))
    return [
        f"{hyper}: in {len(moved)} of {len(known)} cells the vertex is {middle:+.0%} from that of "
        "half the window, more than its error explains; narrow `within`, or raise `degree`"
    ]


def _cell(runs: Cells, at: int, within: float, degree: int) -> list[CellOptimum]:
    mine = np.flatnonzero(runs.member == at)
    grid, excess = runs.log_hyper[mine], runs.excess[mine]
    edges = grid.min(axis=0), grid.max(axis=0)
    near = excess <= within
    surface = Surface.fit(grid[near], runs.loss[mine][near], degree)
    half = excess <= within / 2
    inner = Surface.fit(grid[half], runs.loss[mine][half], degree)
    best = grid[np.argmin(excess)]
    count = len(runs.hyper)

    where = _beyond(best, *edges)
    if where == [Where.INSIDE] * count:
        if surface is None:
            where = [Where.TOO_FEW] * count
        elif not surface.convex:
            where = [Where.NOT_CONVEX] * count
        else:
            where = _beyond(surface.vertex, *edges)
    if any(each in BOUNDS for each in where):
        where = [Where.BESIDE if each is Where.INSIDE else each for each in where]

    entries = []
    for h, (name, status) in enumerate(zip(runs.hyper, where, strict=True)):
        value = {Where.LOW: edges[0][h], Where.HIGH: edges[1][h]}.get(status, math.nan)
        sd = drift = least = doubling = math.nan
        if status is Where.INSIDE:
            assert surface is not None
            value, sd, least = surface.vertex[h], surface.vertex_sd[h], surface.least
            drift = math.nan if inner is None else value - inner.vertex[h]
            doubling = surface.curvature[h, h] * math.log(2) ** 2
        entries.append(
            CellOptimum(
                cell=runs.values(at),
                hyper=name,
                value=math.exp(value),
                log_sd=float(sd),
                drift=float(drift),
                status=status,
                loss=float(least),
                doubling=float(doubling),
                runs=int(near.sum()),
                freedom=0 if surface is None else surface.freedom,
            )
        )
    return entries


def _beyond(u: Array, low: Array, high: Array) -> list[Where]:
    """Side of the grid on which each coordinate lies; a grid of one value has no inside."""
    return [
        Where.LOW if x <= a else Where.HIGH if x >= b else Where.INSIDE
        for x, a, b in zip(u, low, high, strict=True)
    ]


@dataclass(frozen=True)
class Surface:
    """A polynomial in u = ln h, fitted to the runs of one cell, and its minimum. `curvature` is
    half its Hessian there (H, H). Without a minimum, all but `convex` and `freedom` are nan."""

    vertex: Array  # (H,)
    vertex_sd: Array
    curvature: Array
    least: float
    convex: bool
    freedom: int

    @classmethod
    def fit(cls, u: Array, loss: Array, degree: int) -> Surface | None:
        """u (n, H), loss (n,). None where the runs do not determine the coefficients."""
        count = u.shape[1]
        powers = [each for each in product(range(degree + 1), repeat=count) if sum(each) <= degree]
        centre = u.mean(axis=0)
        v = u - centre
        design = _monomials(v, powers, (0,) * count)
        freedom = len(v) - len(powers)
        if freedom < 1 or np.linalg.matrix_rank(design) < len(powers):
            return None
        inverse = np.linalg.pinv(design)
        found = inverse @ loss
        fitted = design @ found
        covariance = float(np.sum((loss - fitted) ** 2)) / freedom * inverse @ inverse.T

        unit = np.eye(count, dtype=int)
        at, step = v[np.argmin(fitted)], np.full(count, np.inf)
        slopes = curves = np.empty(0)
        hessian = np.empty((count, count))
        for _ in range(STEPS):
            # d f / d u_h = slopes[h] @ found, and so on
            slopes = np.stack([_monomials(at, powers, unit[h]) for h in range(count)])
            curves = np.stack(
                [[_monomials(at, powers, a + b) for b in unit] for a in unit],
            )
            hessian = curves @ found
            if np.abs(step).max() < STILL or np.linalg.matrix_rank(hessian) < count:
                break
            step = np.clip(-np.linalg.solve(hessian, slopes @ found), -STRIDE, STRIDE)
            at = at + step
        values, vectors = np.linalg.eigh(hessian)
        weakest = np.einsum("h,g,hgp->p", vectors[:, 0], vectors[:, 0], curves)
        clear = values[0] > CONVEX * math.sqrt(weakest @ covariance @ weakest)
        if not clear or np.abs(step).max() >= STILL:
            nothing = np.full(count, np.nan)
            return cls(nothing, nothing, np.diag(nothing), math.nan, False, freedom)
        # the slope stays zero as the coefficients move: H du* + slopes dc = 0
        moves = -np.linalg.solve(hessian, slopes)
        spread = np.sqrt(np.einsum("hp,pq,hq->h", moves, covariance, moves))
        least = float(_monomials(at, powers, (0,) * count) @ found)
        return cls(at + centre, spread, hessian / 2, least, True, freedom)


def _monomials(v: Array, powers: Sequence[Sequence[int]], derivative: Iterable[int]) -> Array:
    """The partial derivative of each prod_h v_h^power_h, at v (..., H): (..., P)."""
    columns = []
    for power in powers:
        column = np.ones(v.shape[:-1])
        for h, (n, d) in enumerate(zip(power, derivative, strict=True)):
            column = column * math.perm(n, d) * v[..., h] ** max(n - d, 0)
        columns.append(column)
    return np.stack(columns, axis=-1)
