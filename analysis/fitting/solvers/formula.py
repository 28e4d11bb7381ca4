"""Fit any formula: the objective, its gradient and its exact Hessian by automatic differentiation.

    f_w(theta) = sum_i w_i H_delta(r_i),   r_i = ln model - ln y, or model - y

in float64 on the CPU. theta holds logarithms of the `log` parameters of the law and the others as
they are. Starts come from a grid over the law's `starts`; where the law is linear in a parameter,
least squares sets it. Newton and the choice of the best end are those of
`analysis.fitting.solvers.newton`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from analysis.fitting.solvers.newton import Solution, best_of, blocks
from analysis.fitting.solvers.programs import SolverProgram, bucket, float64, program, slots, trace
from analysis.tables.points import Array
from scaling.common.errors import UserError
from scaling.laws._law import Law

GRID = 1024  # more combinations of starts than this are thinned, by a fixed rule
PADDING = 8  # batches are filled up to powers of it, so that few shapes are compiled


@dataclass(frozen=True, eq=False)
class Formula:
    """A law on points: variables (n, ...) by name, y (n,), and whether residuals are logs."""

    law: Law
    variables: Mapping[str, Array]
    y: Array
    log: bool

    @cached_property
    def rows(self) -> int:
        """Rows of the program: those of the table, filled up to a bucket where rows of no weight
        leave the others as they are."""
        rows, law = bucket(self.y.size), self.law
        first = {each.name: np.float64(each.starts[0]) for each in law.free}
        with np.errstate(all="ignore"):
            try:
                alone, among = (
                    law.formula(np, law.filled(first), {k: _fill(v, n) for k, v in self._columns})
                    for n in (self.y.size, rows)
                )
            except ValueError:  # it holds arrays for its rows
                return self.y.size
        same = np.allclose(alone, among[: self.y.size], rtol=1e-9, atol=0, equal_nan=True)
        return rows if same else self.y.size

    @property
    def _columns(self) -> list[tuple[str, Array]]:
        return [(name, self.variables[name]) for name in self.law.variables]

    @cached_property
    def program(self) -> SolverProgram:
        """The compiled form."""
        return program(trace(self.law, self.variables, self.rows), slots(self.law), self.log)

    @cached_property
    def data(self) -> tuple[Array, list[Array], Array]:
        """Held values, the variables and y, as the program takes them."""
        held = np.array(list(self.law.fixed.values()), np.float64)
        columns = [_fill(column, self.rows) for _, column in self._columns]
        return held, columns, _fill(self.y, self.rows)

    def weigh(self, weights: Array) -> Array:
        """Weights (R, n), of zero in the rows that fill the bucket."""
        return np.pad(weights, ((0, 0), (0, self.rows - self.y.size)))

    @property
    def initialisation(self) -> str:
        """The starts of a fit, in words."""
        solved = ", ".join(each.name for each in self.law.free if each.solved)
        rest = f"; {solved} by least squares" if solved else ""
        return f"the best of {len(self._grid())} combinations of the law's starts{rest}"

    @cached_property
    def size(self) -> int:
        """Numbers that one weighting holds: rows times the values of a variable in each."""
        return max(self.y.size, *(value.size for value in self.variables.values()))

    @cached_property
    def logs(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([each.scale == "log" for each in self.law.free])

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""
        low = np.array([each.low for each in self.law.free], np.float64)
        high = np.array([each.high for each in self.law.free], np.float64)
        return self.to_theta(low), self.to_theta(high)

    def to_theta(self, values: Array) -> Array:
        """From the units of the law, (..., P)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.logs, np.log(values), values)

    def to_values(self, theta: Array) -> Array:
        """To the units of the law, (..., P)."""
        with np.errstate(over="ignore"):
            return np.where(self.logs, np.exp(theta), theta)

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, P) and Hessian (R, P, P); an infinite f where the law has none."""
        members = len(theta)
        padded = PADDING ** math.ceil(math.log(max(members, 1), PADDING))
        fill = np.arange(padded) % members
        with float64():
            found = self.program.derivatives(
                theta[fill], self.weigh(weights[fill]), *self.data, delta
            )
            value, gradient, hessian = (np.asarray(each)[:members] for each in found)
        lost = ~(
            np.isfinite(value) & np.isfinite(gradient).all(1) & np.isfinite(hessian).all((1, 2))
        )
        return (
            np.where(lost, np.inf, value),
            np.where(lost[:, None], 0.0, gradient),
            np.where(lost[:, None, None], 0.0, hessian),
        )

    def directions(self, weights: Array, theta: Array) -> Array:
        """Scales from the Hessian of least squares: f has none where a narrow delta leaves fewer
        rows inside than there are parameters."""
        _, _, hessian = self.derivatives(weights, theta, np.inf)
        curve, basis = np.linalg.eigh(hessian)
        curve = np.abs(curve)
        largest = curve.max(axis=1, keepdims=True) + 1e-100
        return basis * np.sqrt(largest / np.maximum(curve, 1e-10 * largest))[:, None, :]

    def check(self) -> None:
        """UserError where the formula fails, gives other than one value per row, or computes in
        less than float64."""
        name = f"law '{self.law.name}'"
        try:
            traced = trace(self.law, self.variables, self.y.size)
        except KeyError as error:
            raise UserError(
                f"{name}: its formula asks for {error}; parameters: "
                f"{', '.join(each.name for each in self.law.space)}; variables: "
                f"{', '.join(self.law.variables)}"
            ) from error
        except (AttributeError, NameError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{name}: its formula fails ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); write it with xp, p and x alone"
            ) from error
        shapes = [each.shape for each in traced.out_avals]
        if shapes != [self.y.shape]:
            raise UserError(
                f"{name}: its formula gives shape {shapes[0]} for {len(self.y)} rows: "
                "it must give one value per row"
            )
        kinds = {
            str(each.aval.dtype)
            for line in traced.jaxpr.eqns
            for each in line.outvars
            if jnp.issubdtype(each.aval.dtype, jnp.floating)
        }
        if narrow := kinds - {"float64"}:
            raise UserError(
                f"{name} computes in {min(narrow)}, and fits are in float64: "
                "write its formula without casts"
            )

    def starts(self, weights: Array, count: int, delta: float) -> Array:
        """The `count` best points of the grid for each weighting, (R, count, P)."""
        grid = self._grid()
        chosen = np.empty((len(weights), count, grid.shape[1]))
        for member, weighting in enumerate(weights):
            thetas = self.to_theta(self._solved(grid, weighting))
            repeated = np.broadcast_to(weighting, (len(thetas), weighting.size))
            with float64():
                value = np.asarray(
                    self.program.objective(
                        thetas, self.weigh(repeated), *self.data, max(delta, 0.1)
                    )
                )
            value = np.where(np.isfinite(value), value, np.inf)
            order = np.argsort(value, kind="stable")[:count]
            chosen[member] = thetas[np.resize(order, count)]
        return chosen

    def _grid(self) -> Array:
        """Every combination of the starts of the parameters, (G, P)."""
        choices = [each.starts[:1] if each.solved else each.starts for each in self.law.free]
        grid = np.array(list(product(*choices)), np.float64)
        if len(grid) > GRID:
            grid = grid[np.random.default_rng(0).permutation(len(grid))[:GRID]]
        return grid

    def _solved(self, grid: Array, weights: Array) -> Array:
        """The grid with its linear parameters by weighted least squares, where they come out inside
        their ranges."""
        solved = [at for at, each in enumerate(self.law.free) if each.solved]
        if not solved:
            return grid
        none = grid.copy()
        none[:, solved] = 0.0
        bare = self._models(none)
        basis = []
        for at in solved:
            one = none.copy()
            one[:, at] = 1.0
            basis.append(self._models(one) - bare)
        root = np.sqrt(weights) / (self.y if self.log else 1.0)
        design = np.stack(basis, axis=-1) * root[:, None]
        target = (self.y - bare) * root
        usable = np.isfinite(design).all((1, 2)) & np.isfinite(target).all(1)
        gram = np.einsum("gnj,gnk->gjk", design[usable], design[usable])
        right = np.einsum("gnj,gn->gj", design[usable], target[usable])
        size = np.sqrt(np.maximum(np.einsum("gjj->gj", gram), 1e-300))
        scaled = gram / (size[:, :, None] * size[:, None, :]) + 1e-12 * np.eye(len(solved))
        answer = np.linalg.solve(scaled, (right / size)[..., None])[..., 0] / size
        low = np.array([self.law.free[at].low for at in solved])
        high = np.array([self.law.free[at].high for at in solved])
        inside = ((answer >= low) & (answer <= high)).all(axis=1)
        out = grid.copy()
        rows = np.flatnonzero(usable)[inside]
        out[np.ix_(rows, solved)] = answer[inside]
        return out

    def _models(self, values: Array) -> Array:
        """The law at rows of parameters (G, P): (G, n)."""
        with float64():
            return np.asarray(self.program.models(values, *self.data[:2]))[:, : self.y.size]


def solve(
    problem: Formula, weights: Array, starts: int, delta: float, warm: Array | None = None
) -> Solution:
    """The best minimum found per weighting (R, n), from `starts` points of the grid and, where
    given, the `warm` theta (P,)."""
    first = problem.starts(weights[:1], starts, delta)
    if warm is not None:
        first = np.concatenate([warm[None, None], first], axis=1)
    parts = [
        best_of(
            problem,
            weights[block],
            np.repeat(first, len(weights[block]), axis=0),
            delta,
        )
        for block in blocks(len(weights), problem.size * first.shape[1])
    ]
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.certified for part in parts]),
    )


def _fill(column: Array, rows: int) -> Array:
    """The first `rows` rows of a column, or the column with its first row repeated up to them."""
    return np.concatenate([column, np.repeat(column[:1], max(0, rows - len(column)), axis=0)])
