"""Fit any formula: the objective, its gradient and its exact Hessian by automatic differentiation.

    f_w(theta) = sum_i w_i H_delta(r_i),   r_i = ln model - ln y, or model - y

in float64 on the CPU. theta holds logarithms of the `log` parameters of the law and the others as
they are. Starts come from a grid over the law's `starts`; where the law is linear in a parameter,
least squares sets it. Newton and the choice of the best end are those of
`analysis.fitting.solvers.newton`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from analysis.fitting.solvers.newton import Solution, best_of, blocks
from analysis.tables.points import Array
from scaling.common.errors import UserError
from scaling.laws._law import Law

GRID = 1024  # more combinations of starts than this are thinned, by a fixed rule
PADDING = 8  # batches are filled up to powers of it, so that few shapes are compiled


@contextmanager
def float64() -> Iterator[None]:
    """Context of double precision on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield


@dataclass(frozen=True, eq=False)
class Formula:
    """A law on points: variables (n, ...) by name, y (n,), and whether residuals are logs."""

    law: Law
    variables: Mapping[str, Array]
    y: Array
    log: bool

    @cached_property
    def size(self) -> int:
        """Numbers that one weighting holds: rows times the values of a variable in each."""
        return max(self.y.size, *(value.size for value in self.variables.values()))

    @cached_property
    def logs(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([each.scale == "log" for each in self.law.space])

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""
        low = np.array([each.low for each in self.law.space], np.float64)
        high = np.array([each.high for each in self.law.space], np.float64)
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
            found = _derivatives(
                self.law, self.log, theta[fill], weights[fill], self.variables, self.y, delta
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
        params = {each.name: np.float64(1) for each in self.law.space}
        try:
            with float64():
                traced = jax.make_jaxpr(partial(self.law.formula, jnp))(
                    params, dict(self.variables)
                )
        except KeyError as error:
            raise UserError(
                f"{name}: its formula asks for {error}; parameters: "
                f"{', '.join(self.law.parameters)}; variables: {', '.join(self.law.variables)}"
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
            for line in traced.eqns
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
                    _objective(
                        self.law,
                        self.log,
                        thetas,
                        repeated,
                        self.variables,
                        self.y,
                        max(delta, 0.1),
                    )
                )
            value = np.where(np.isfinite(value), value, np.inf)
            order = np.argsort(value, kind="stable")[:count]
            chosen[member] = thetas[np.resize(order, count)]
        return chosen

    def _grid(self) -> Array:
        """Every combination of the starts of the parameters, (G, P)."""
        choices = [each.starts[:1] if each.solved else each.starts for each in self.law.space]
        grid = np.array(list(product(*choices)), np.float64)
        if len(grid) > GRID:
            grid = grid[np.random.default_rng(0).permutation(len(grid))[:GRID]]
        return grid

    def _solved(self, grid: Array, weights: Array) -> Array:
        """The grid with its linear parameters by weighted least squares, where they come out inside
        their ranges."""
        solved = [at for at, each in enumerate(self.law.space) if each.solved]
        if not solved:
            return grid
        none = grid.copy()
        none[:, solved] = 0.0
        with float64():
            bare = _models(self.law, none, self.variables)
            basis = []
            for at in solved:
                one = none.copy()
                one[:, at] = 1.0
                basis.append(_models(self.law, one, self.variables) - bare)
        root = np.sqrt(weights) / (self.y if self.log else 1.0)
        design = np.stack(basis, axis=-1) * root[:, None]
        target = (self.y - bare) * root
        usable = np.isfinite(design).all((1, 2)) & np.isfinite(target).all(1)
        gram = np.einsum("gnj,gnk->gjk", design[usable], design[usable])
        right = np.einsum("gnj,gn->gj", design[usable], target[usable])
        size = np.sqrt(np.maximum(np.einsum("gjj->gj", gram), 1e-300))
        scaled = gram / (size[:, :, None] * size[:, None, :]) + 1e-12 * np.eye(len(solved))
        answer = np.linalg.solve(scaled, (right / size)[..., None])[..., 0] / size
        low = np.array([self.law.space[at].low for at in solved])
        high = np.array([self.law.space[at].high for at in solved])
        inside = ((answer >= low) & (answer <= high)).all(axis=1)
        out = grid.copy()
        rows = np.flatnonzero(usable)[inside]
        out[np.ix_(rows, solved)] = answer[inside]
        return out


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


def _value(
    law: Law, log: bool, theta: Any, weights: Any, variables: Any, y: Any, delta: Any
) -> Any:
    params = {
        each.name: jnp.exp(at) if each.scale == "log" else at
        for each, at in zip(law.space, theta, strict=True)
    }
    model = law.formula(jnp, params, variables)
    residual = jnp.log(model) - jnp.log(y) if log else model - y
    psi = jnp.clip(residual, -delta, delta)
    return jnp.sum(weights * psi * (residual - psi / 2))


@partial(jax.jit, static_argnames=("law", "log"))
def _objective(
    law: Law, log: bool, theta: Any, weights: Any, variables: Any, y: Any, delta: Any
) -> Any:
    each = jax.vmap(lambda t, w: _value(law, log, t, w, variables, y, delta))
    return each(theta, weights)


@partial(jax.jit, static_argnames=("law", "log"))
def _derivatives(
    law: Law, log: bool, theta: Any, weights: Any, variables: Any, y: Any, delta: Any
) -> Any:
    def one(at: Any, weighting: Any) -> Any:
        def value(t: Any) -> Any:
            return _value(law, log, t, weighting, variables, y, delta)

        return *jax.value_and_grad(value)(at), jax.hessian(value)(at)

    return jax.vmap(one)(theta, weights)


def _models(law: Law, values: Array, variables: Mapping[str, Array]) -> Array:
    """The law at rows of parameters (G, P): (G, n)."""
    return np.asarray(_batch_model(law, values, variables))


@partial(jax.jit, static_argnames=("law",))
def _batch_model(law: Law, values: Any, variables: Any) -> Any:
    def one(row: Any) -> Any:
        params = {each.name: at for each, at in zip(law.space, row, strict=True)}
        return law.formula(jnp, params, variables)

    return jax.vmap(one)(values)
