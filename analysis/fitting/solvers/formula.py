"""Fit any formula: the law and its slopes by automatic differentiation, its minimum by Newton.

    f_w(theta) = sum_i w_i H_delta(r_i),   r_i = ln model - ln y, or model - y

in float64 on the CPU. theta holds logarithms of the `log` parameters of the law and the others as
they are. One function is compiled: the model and its Jacobian J. Second derivatives are differences
of J over 1e-5, so Newton's last steps gain five digits each. Where the law is linear in a
parameter, least squares starts it.

The search is global: two scrambled Sobol designs over the box of starts are each evaluated, led
downhill from their best points, and finished by exact Newton and along corners of the law. A lowest
minimum that both reach, to `AGREE` of f, stands; else two larger designs follow, and at last the
fit is not certified. Ends that agree to `SAME` of f certify one another, as in oblique corners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import EllipsisType

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from analysis.fitting.solvers.corners import settled
from analysis.fitting.solvers.newton import (
    SAME,
    WAY,
    Solution,
    best_of,
    blocks,
    finite,
    followed,
    joined,
    newton,
)
from analysis.fitting.solvers.programs import (
    SolverProgram,
    bucket,
    float64,
    in_one_call,
    in_units,
    program,
    slots,
    trace,
)
from analysis.fitting.solvers.sobol import sobol
from analysis.tables.points import Array
from scaling.common.errors import UserError
from scaling.laws._law import Law

DESIGN, ROUNDS = 512, 3  # points of a design, twice as many each round
LED, KEPT, DOWNHILL = 24, 4, 40  # of each design: led downhill, finished, and steps downhill
AGREE = 1e-6  # of f: the most by which the ends of two designs may differ
NOTHING = 1e-16  # and of a mean squared log residual, for rows that a law passes through
WIDE = 0.1  # the least Huber width of the search
STEP = 1e-5  # of theta, in the differences of slopes
PAST = 0.5  # the box of starts reaches past them by this share of their spread
ALONE = 2.0  # in theta: half the width of the box about a single start


@dataclass(frozen=True, eq=False)
class Formula:
    """A law on points: variables (n, ...) by name, y (n,), and whether residuals are logs. The ends
    of the search and the units are those of the rows `seen`."""

    law: Law
    variables: Mapping[str, Array]
    y: Array
    log: bool
    seen: NDArray[np.bool_] | EllipsisType = ...

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
        return program(trace(self.law, self.variables, self.rows), slots(self.law))

    @cached_property
    def data(self) -> tuple[Array, list[Array]]:
        """Held values, then the variables and their middles, as the program takes them."""
        held = np.array(list(self.law.fixed.values()), np.float64)
        columns = [_fill(column, self.rows) for _, column in self._columns]
        return held, [*columns, *self.middles.values()]

    @cached_property
    def middles(self) -> dict[str, Array]:
        """Geometric means of the loss and of the variables, which may have one of that name."""
        with np.errstate(divide="ignore", invalid="ignore"):
            columns = {"loss": self.y, **dict(self._columns)}
            return {
                name: np.exp(np.log(each[self.seen]).mean(axis=0)) for name, each in columns.items()
            }

    @property
    def initialisation(self) -> str:
        """The starts of a fit, in words."""
        solved = ", ".join(each.name for each in self.law.free if each.solved)
        rest = f"; {solved} by least squares" if solved else ""
        return (
            f"two scrambled Sobol designs of {DESIGN} points each, until their minima agree to "
            f"{AGREE:g} of the objective{rest}"
        )

    @cached_property
    def size(self) -> int:
        """Numbers that one weighting holds: rows times the values of a variable in each, and the
        slopes of each shifted theta."""
        widest = max(self.y.size, *(value.size for value in self.variables.values()))
        return widest * (1 + len(self.law.free))

    @cached_property
    def logs(self) -> NDArray[np.bool_]:
        return np.array([each.scale == "log" for each in self.law.free])

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""
        columns = {**self.variables, "loss": self.y}
        columns = {name: each[self.seen] for name, each in columns.items()}
        ends = np.array([each.ends(columns) for each in self.law.free], np.float64)
        low, high = np.where(self.logs, np.log(np.where(self.logs, ends.T, 1.0)), ends.T)
        return low, high

    def units(self, values: Array) -> Array:
        """Of each parameter, (..., P), where the others have these values: one, or its own."""
        params = dict(zip(self.law.parameters, np.moveaxis(values, -1, 0), strict=True))
        with np.errstate(all="ignore"):
            own = in_units(np, self.law, self.law.filled(params), self.middles)
        out = np.ones_like(values)
        for name, unit in own.items():
            out[..., self.law.parameters.index(name)] = unit
        return out

    def to_theta(self, values: Array) -> Array:
        """From the values of the law, (..., P)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.logs, np.log(values / self.units(values)), values)

    def to_values(self, theta: Array) -> Array:
        """To the values of the law, (..., P)."""
        with np.errstate(over="ignore"):
            values = np.where(self.logs, np.exp(theta), theta)
            return values * self.units(values)

    def rates(self, theta: Array) -> tuple[Array, Array]:
        """The law (R, n) and its slopes (R, P, n) at rows of theta (R, P)."""
        count, each = len(theta), in_one_call(len(theta), self.size)
        parts = []
        with float64():
            for at in range(0, count, each):
                chunk = theta[np.minimum(np.arange(at, at + each), count - 1)]
                parts.append([np.asarray(part) for part in self.program.rates(chunk, *self.data)])
        models, slopes = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
        return models[:, : self.y.size], slopes[:, :, : self.y.size]

    def _residuals(self, theta: Array) -> tuple[Array, Array]:
        """Residuals (R, n) and their slopes (R, P, n)."""
        models, slopes = self.rates(theta)
        with np.errstate(all="ignore"):
            if self.log:
                return np.log(models) - np.log(self.y), slopes / models[:, None, :]
            return models - self.y, slopes

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, P) and Hessian (R, P, P); an infinite f where the law has none."""
        members, size = theta.shape
        moved = theta[:, None] + STEP * np.eye(size)
        residual, slopes = self._residuals(np.concatenate([theta, moved.reshape(-1, size)]))
        value, gradient, psi, hessian = _squares(
            weights, residual[:members], slopes[:members], delta
        )
        around = slopes[members:].reshape(members, size, size, -1)
        with np.errstate(all="ignore"):
            bent = (around - slopes[:members, None]) @ (weights * psi)[:, None, :, None]
        bent = bent[..., 0] / STEP
        return finite(value, gradient, hessian + (bent + bent.transpose(0, 2, 1)) / 2)

    def directions(self, weights: Array, theta: Array) -> Array:
        """Scales from the Hessian of least squares: f has none where a narrow delta leaves fewer
        rows inside than there are parameters."""
        _, _, hessian = Downhill(self).derivatives(weights, theta, np.inf)
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

    def starts(
        self, weights: Array, count: int, delta: float, seed: int = 0, points: int = DESIGN
    ) -> Array:
        """The `count` best points (count, P) of a scrambled Sobol design, under one weighting."""
        low, high = self._starting_box()
        design = sobol(len(low), points, seed)
        theta = self._solved(low + design * (high - low), weights)
        residual, slopes = self._residuals(theta)
        value = _squares(np.broadcast_to(weights, residual.shape), residual, slopes, delta)[0]
        order = np.argsort(np.where(np.isfinite(value), value, np.inf), kind="stable")
        return theta[np.resize(order[:count], count)]

    def _starting_box(self) -> tuple[Array, Array]:
        """The ends of theta between which designs lie: past the starts of the law, or the range of
        the rows."""
        low, high = (end.copy() for end in self.box)
        for at, each in enumerate(self.law.free):
            if each.within is not None:
                ends = each.starts if len(each.starts) > 1 else (0.0, 1.0)
                span = high[at] - low[at]
                low[at], high[at] = low[at] + span * min(ends), low[at] + span * max(ends)
                continue
            starts = np.log(each.starts) if each.scale == "log" else np.array(each.starts)
            past = PAST * float(np.ptp(starts)) or ALONE
            low[at] = max(low[at], float(starts.min()) - past)
            high[at] = min(high[at], float(starts.max()) + past)
        return low, high

    def _solved(self, theta: Array, weights: Array) -> Array:
        """theta with its linear parameters by weighted least squares, where they come out inside
        their ranges; a floor that comes out below its own is there, and the others are solved."""
        solved = np.flatnonzero([each.solved for each in self.law.free])
        floors = np.flatnonzero([each.solved and each.floor for each in self.law.free])
        others = np.setdiff1d(solved, floors)
        if not solved.size:
            return theta
        answer, inside = self._least_squares(theta, weights, solved)
        out, left = theta.copy(), np.flatnonzero(~inside)
        out[np.ix_(np.flatnonzero(inside), solved)] = answer[inside]
        if floors.size and others.size and left.size:
            out[np.ix_(left, floors)] = self.box[0][floors]
            answer, inside = self._least_squares(out, weights, others)
            rows = left[inside[left]]
            out[np.ix_(rows, others)] = answer[rows]
        return out

    def _least_squares(
        self, theta: Array, weights: Array, chosen: NDArray[np.intp]
    ) -> tuple[Array, NDArray[np.bool_]]:
        """The chosen parameters, (G, k) in theta, and where they are inside their ranges."""
        values = self.to_values(theta)
        values[:, chosen] = 1.0  # where a slope in theta is the term of its parameter
        models, slopes = self.rates(self.to_theta(values))
        root = np.sqrt(weights) / (self.y if self.log else 1.0)
        with np.errstate(all="ignore"):
            terms = slopes[:, chosen].transpose(0, 2, 1)
            design = terms * root[:, None]
            target = (self.y - models + terms.sum(axis=-1)) * root
        usable = np.asarray(np.isfinite(design).all((1, 2)) & np.isfinite(target).all(1))
        design = np.where(usable[:, None, None], design, 0.0)
        target = np.where(usable[:, None], target, 0.0)
        gram = np.einsum("gnj,gnk->gjk", design, design)
        right = np.einsum("gnj,gn->gj", design, target)
        size = np.sqrt(np.maximum(np.einsum("gjj->gj", gram), 1e-300))
        scaled = gram / (size[:, :, None] * size[:, None, :]) + 1e-12 * np.eye(len(chosen))
        values[:, chosen] = np.linalg.solve(scaled, (right / size)[..., None])[..., 0] / size
        solved = self.to_theta(values)[:, chosen]
        low, high = (end[chosen] for end in self.box)
        return solved, usable & ((solved >= low) & (solved <= high)).all(axis=1)


@dataclass(frozen=True, eq=False)
class Downhill:
    """A formula with the Hessian of least squares, J^T J: no second derivatives, and downhill from
    anywhere. For the way into a basin."""

    whole: Formula

    @property
    def box(self) -> tuple[Array, Array]:
        return self.whole.box

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        value, gradient, _, hessian = _squares(weights, *self.whole._residuals(theta), delta)
        return finite(value, gradient, hessian)

    def directions(self, weights: Array, theta: Array) -> None:
        """theta itself."""


def _squares(
    weights: Array, residual: Array, slopes: Array, delta: float
) -> tuple[Array, Array, Array, Array]:
    """f, its gradient, psi, and the part of its Hessian that needs no second derivatives."""
    with np.errstate(all="ignore"):
        psi = np.clip(residual, -delta, delta)
        value = np.sum(weights * psi * (residual - psi / 2), axis=1)
        gradient = (slopes @ (weights * psi)[..., None])[..., 0]
        inside = slopes * (weights * (psi == residual))[:, None, :]
        return value, gradient, psi, inside @ slopes.transpose(0, 2, 1)


def search(problem: Formula, weights: Array, delta: float, rounds: int = ROUNDS) -> Solution:
    """The global minimum of one weighting (1, n): certified where two designs agree on it."""
    wide = max(delta, WIDE)
    ends: list[Solution] = []
    for turn in range(rounds):
        count = 2**turn
        seeds = 2 * turn, 2 * turn + 1
        most = LED * count, wide
        designs = [problem.starts(weights[0], *most, seed, DESIGN * count) for seed in seeds]
        first = np.concatenate(designs)
        led = newton(
            Downhill(problem), np.repeat(weights, len(first), axis=0), first, wide, DOWNHILL
        )
        halves = np.split(np.arange(len(first)), 2)
        kept = np.stack([_lowest(led, half, KEPT * count) for half in halves])
        twice = np.repeat(weights, 2, axis=0)
        both = followed(problem, twice, best_of(problem, twice, kept, delta, WAY), delta)
        ends += settled(problem, weights, both, delta)
        ends.sort(key=lambda end: float(end.value[0]))
        best, second = (end.value[0] for end in ends[:2])
        near = best + NOTHING * weights.sum()
        if second <= near + best * AGREE:
            return replace(ends[0], certified=ends[0].certified | (second <= near + best * SAME))
    return replace(ends[0], certified=np.zeros(1, dtype=bool))


def _lowest(ends: Solution, among: NDArray[np.intp], count: int) -> Array:
    """The `count` lowest of some ends, each minimum once."""
    order = among[np.argsort(ends.value[among], kind="stable")]
    values = ends.value[order]
    fresh = np.concatenate([[True], values[1:] > values[:-1] * (1 + AGREE)])
    return ends.theta[np.resize(order[fresh][:count], count)]


def solve(
    problem: Formula, weights: Array, starts: int, delta: float, warm: Array | None = None
) -> Solution:
    """The best minimum found per weighting (R, n): by a global search, or from the `warm` theta
    (P,) and `starts` points of a design."""
    if warm is None:
        parts = [search(problem, each[None], delta) for each in weights]
    else:
        first = problem.starts(weights.mean(axis=0), starts, max(delta, WIDE))
        first = np.concatenate([warm[None], first])[None]
        parts = [
            best_of(problem, weights[block], np.repeat(first, len(weights[block]), axis=0), delta)
            for block in blocks(len(weights), problem.size * first.shape[1])
        ]
    return joined(parts)


def _fill(column: Array, rows: int) -> Array:
    """The first `rows` rows of a column, or the column with its first row repeated up to them."""
    return np.concatenate([column, np.repeat(column[:1], max(0, rows - len(column)), axis=0)])
