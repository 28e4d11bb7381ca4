"""Exact minimiser, in batch over weightings of the same points, of the log-Huber objective

    f_w(theta) = sum_i w_i H_delta(r_i),   r_i = ln(E + sum_k exp(a_k - alpha_k z_ik)) - ln L_i

for additive power laws. z is the centred log of a variable, which takes the Hessian's condition
from 1e7 to 1e4. theta = (E / smallest loss, a_1 .. a_K, alpha_1 .. alpha_K), without the first
where the law has no offset. E is kept linear, so that Newton can reach and certify E = 0, which a
log only nears; amplitudes are logs, and a dead term has a = -inf. Parameters that are held or tied
make theta an affine function of fewer free numbers, and everything else stays as it is.

A variable-projection scan over the exponents gives starts, and damped exact Newton with the true
Huber Hessian finishes each. Where the ends differ, or delta is narrow, continuation in delta runs
too, and the better end is kept. Neither way alone finds the global minimum of every weighting.
Shapes: R weightings, n points, P numbers in theta, F <= P free ones, m terms (offset first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.solvers.newton import Solution, best_of, blocks, joined
from analysis.fitting.solvers.relations import Relations
from analysis.tables.points import Array

EXPONENT_RANGE = (1e-3, 6.0)  # outside it a power of any real range of scales is flat or dead
SCAN_RANGE, SCAN_POINTS = (0.02, 2.5), 24
SCAN_ROWS = 4096  # the scan only gives starts: of more rows than this it sees a sample
OVERFLOW = 600.0  # logs above it are clipped: such a trial step is rejected anyway
BATCH = 1 << 21  # numbers per array in a block of weightings: some 10 of them fit in memory
CACHED = 1 << 15  # numbers per array of one step: some 10 of them stay in cache
DEAD_SHARE = np.log(1e-5)  # a term below this share of every loss is tried at exactly zero


@dataclass(frozen=True)
class Problem:
    """The points in logs: z (K, n) centred, y = ln L (n,), and whether there is an offset term."""

    z: Array
    y: Array
    offset_terms: int  # 0 or 1
    delta: float
    relations: Relations | None = None

    @property
    def terms(self) -> int:
        return self.offset_terms + len(self.z)

    @property
    def size(self) -> int:
        return self.terms + len(self.z)

    @cached_property
    def related(self) -> Relations:
        """The relations, or those of a law whose parameters are all free."""
        return self.relations or Relations(np.eye(self.size), np.zeros(self.size))

    def whole(self, free: Array) -> Array:
        """theta (R, P) of free numbers (R, F)."""
        if self.relations is None:
            return free
        return free @ self.relations.turn.T + self.relations.shift

    @cached_property
    def scale(self) -> float:
        """The smallest loss: the unit of E in theta."""
        return float(np.exp(self.y.min()))

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of the free numbers."""
        powers = len(self.z)
        ends = ((0.0, -np.inf, EXPONENT_RANGE[0]), (10.0, np.inf, EXPONENT_RANGE[1]))
        low, high = (
            np.array([*[offset] * self.offset_terms, *[log] * powers, *[exponent] * powers])
            for offset, log, exponent in ends
        )
        own = self.related.own
        return low[own], high[own]

    def directions(self, weights: Array, free: Array) -> None:
        """The free numbers themselves, since z is centred."""

    def members(self, weights: Array) -> tuple[Array, Array]:
        """Weights (R, n) and log losses, (n,) for all or (R, n), of the members of a batch."""
        return weights, self.y

    @cached_property
    def factors(self) -> tuple[tuple[slice, Array], ...]:
        """Per term, its columns of theta, and the slopes of ln(term) in them at each point (n, .):
        1 in E or a_k, -z_k in alpha_k."""
        ones, powers = np.ones(self.y.size), len(self.z)
        return (
            *((slice(0, 1), ones[:, None]) for _ in range(self.offset_terms)),
            *(
                (slice(at, at + powers + 1, powers), np.stack([ones, -z], axis=1))
                for at, z in enumerate(self.z, self.offset_terms)
            ),
        )

    @cached_property
    def products(self) -> dict[tuple[int, int], Array]:
        """Every slope of one term times every slope of another, (n, .): the moments of the Hessian
        are sums against them."""
        return {
            (j, m): (mine[:, :, None] * other[:, None, :]).reshape(self.y.size, -1)
            for j, (_, mine) in enumerate(self.factors)
            for m, (_, other) in enumerate(self.factors)
            if j <= m
        }

    def derivatives(self, weights: Array, free: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, F) and exact Hessian (R, F, F)."""
        value, gradient, hessian = self._derivatives(weights, self.whole(free), delta)
        if self.relations is None:
            return value, gradient, hessian
        turn = self.relations.turn
        return value, gradient @ turn, turn.T @ hessian @ turn

    def _derivatives(
        self, weights: Array, theta: Array, delta: float
    ) -> tuple[Array, Array, Array]:
        """The same in theta: f (R,), gradient (R, P) and exact Hessian (R, P, P).

        H = sum_i w_i [psi' grad m grad m^T + psi hess m]. m is a logarithm of a sum. With p =
        dm/d(E, u_k), hess m is -p p^T, plus p_k on the diagonal of each log amplitude. So all
        second moments are sums of (psi' - psi) p_j p_k + psi p_k [j = k] against 1, z, z z.
        """
        weights, measured = self.members(weights)
        value, gradient = np.empty(len(theta)), np.empty_like(theta)
        hessian = np.empty((*theta.shape, self.size))
        for block in blocks(len(theta), self.y.size, CACHED):
            weight, found = weights[block], hessian[block]
            predicted, share = log_model(self, theta[block])
            residual = predicted - (measured[block] if measured.ndim > 1 else measured)
            psi = np.clip(residual, -delta, delta)
            slope = weight * psi
            value[block] = np.vecdot(slope, residual) - np.vecdot(slope, psi) / 2
            curvature = weight * (psi == residual) - slope
            for j, (rows, factor) in enumerate(self.factors):
                pulled, bent = slope * share[j], curvature * share[j]
                gradient[block, rows] = pulled @ factor
                for m in range(j, self.terms):
                    mass = bent * share[m]
                    if j == m >= self.offset_terms:
                        mass += pulled
                    columns = self.factors[m][0]
                    sums = (mass @ self.products[j, m]).reshape(len(weight), factor.shape[1], -1)
                    found[:, rows, columns] = sums
                    if j != m:
                        found[:, columns, rows] = sums.transpose(0, 2, 1)
        return value, gradient, hessian


def log_model(problem: Problem, theta: Array) -> tuple[Array, list[Array]]:
    """ln L (R, n), and its derivative in E and in each a_k, each (R, n): the latter are the terms'
    shares of the loss, the former 1 / L in units of the smallest loss."""
    floor = problem.y.min()
    slopes, total = [], np.zeros((len(theta), 1))
    for columns, factor in problem.factors[problem.offset_terms :]:
        logs = (theta[:, columns] - [floor, 0.0]) @ factor.T
        slopes.append(np.exp(np.minimum(logs, OVERFLOW, out=logs), out=logs))
        total = total + logs
    if problem.offset_terms:
        total += theta[:, :1]
        slopes.insert(0, np.ones_like(total))
    inverse = 1 / total
    for slope in slopes:
        slope *= inverse
    return np.log(total, out=total) + floor, slopes


def objective(problem: Problem, weights: Array, free: Array, delta: float) -> Array:
    """f_w, (R,)."""
    residual = log_model(problem, problem.whole(free))[0] - problem.y
    psi = np.clip(residual, -delta, delta)
    return np.einsum("rn,rn->r", weights, psi * (residual - psi / 2))


def scan(problem: Problem, weights: Array, count: int) -> Array:
    """Variable projection over a grid of exponents: the `count` best starts per weighting,
    (R, count, F), or all of the grid where that is smaller.

    With the exponents fixed, weights w / L^2 make linear least squares on L the first-order log
    residual; every cell of every weighting then comes from matrix products and one small solve.
    Cells with a term that is not positive are left out.
    """
    own = problem.related.own
    powers = int(np.count_nonzero(own >= problem.terms))
    grid = np.geomspace(*SCAN_RANGE, SCAN_POINTS)
    cells = np.array(list(product(grid, repeat=powers)))
    seen = np.sort(np.random.default_rng(0).permutation(problem.y.size)[:SCAN_ROWS])
    basis, target = _basis(problem, seen, grid)
    # a product of two terms varies along their own exponents alone, and has length 1 along others
    gram = {(j, m): basis[j] * basis[m] for j in range(len(basis)) for m in range(j + 1)}
    right = [each * target for each in basis]
    plain = _plain_start(problem)[own]
    count = min(count, len(cells))
    starts = np.empty((len(weights), count, own.size))
    for block in blocks(len(weights), len(cells), CACHED):
        drawn = weights[block].T[seen]
        solution, explained = solve_small(
            {pair: products @ drawn for pair, products in gram.items()},
            [products @ drawn for products in right],
            lambda pivot, whole: np.where(pivot > 1e-13 * whole, pivot, np.nan),
        )
        usable = np.asarray(True)
        for each in solution:
            usable = usable & (each > 0)
        left = target**2 @ drawn if target.ndim else 0.0
        shape = (*[SCAN_POINTS] * powers, drawn.shape[1])
        score = np.broadcast_to(np.where(usable, left - explained, np.inf), shape)
        score = score.reshape(len(cells), -1)
        best = np.argpartition(score, range(count), axis=0)[:count].T
        members = np.arange(len(best))[:, None]
        lost = ~np.isfinite(score[best, members])
        for at, amplitude in enumerate(solution):
            every = np.broadcast_to(amplitude, shape).reshape(len(cells), -1)
            chosen = np.where(lost, 1.0, every[best, members])
            offset = own[at] < problem.offset_terms
            starts[block, :, at] = chosen / problem.scale if offset else np.log(chosen)
        starts[block, :, len(solution) :] = cells[best]
        starts[block][lost] = plain
    return starts


def solve_small(
    gram: Mapping[tuple[int, int], Array],
    rhs: Sequence[Array],
    pivot: Callable[[Array, Array], Array],
) -> tuple[list[Array], Array]:
    """Many small symmetric systems gram x = rhs at once: the solutions x, and rhs . x.

    L D L^T written out over arrays: gram[j, m], m <= j, and rhs[j] hold one number per system, and
    broadcast. `pivot` maps an entry of D, and the diagonal it is left of, to the one to divide by.
    """
    size = len(rhs)
    unit: dict[tuple[int, int], Array] = {}  # L
    pivots: list[Array] = []
    half: list[Array] = []  # L^-1 rhs
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for j in range(size):
            row: list[Array] = []  # of L D
            for m in range(j):
                row.append(_less(gram[j, m], ((row[k], unit[m, k]) for k in range(m))))
                unit[j, m] = row[m] / pivots[m]
            left = _less(gram[j, j], ((unit[j, k], row[k]) for k in range(j)))
            pivots.append(pivot(left, gram[j, j]))
            half.append(_less(rhs[j], ((unit[j, k], half[k]) for k in range(j))))
        solution = [each / by for each, by in zip(half, pivots, strict=True)]
        explained = -_less(np.zeros(()), zip(half, solution, strict=True))
        for j in reversed(range(size)):
            later = ((unit[k, j], solution[k]) for k in range(j + 1, size))
            solution[j] = _less(solution[j], later)
    return solution, explained


def _less(start: Array, products: Iterable[tuple[Array, Array]]) -> Array:
    """start - sum of a b."""
    for one, other in products:
        start = start - one * other
    return start


def _basis(problem: Problem, seen: NDArray[np.intp], grid: Array) -> tuple[list[Array], Array]:
    """Terms over L at every cell of the grid of free exponents, (cells of x_1, .., rows seen): one
    for each free amplitude, summed over terms tied to it. Second, 1 less the known terms."""
    related, z, loss = problem.related, problem.z[:, seen], np.exp(problem.y[seen])
    linear = related.own < problem.terms
    powers = np.count_nonzero(~linear)

    def affine(entry: int) -> Array:
        """An entry of theta as far as it follows from the exponents, over the cells."""
        total = np.full([1] * (powers + 1), related.shift[entry])
        for axis, factor in enumerate(related.turn[entry, ~linear]):
            if factor:
                shape = [len(grid) if at == axis else 1 for at in range(powers + 1)]
                total = total + factor * grid.reshape(shape)
        return total

    sums: dict[int, Array] = {}
    known = np.zeros(())
    for term in range(problem.terms):
        columns = np.flatnonzero(related.turn[term, linear])
        if term < problem.offset_terms:
            part = (1 / loss).reshape(*[1] * powers, -1)
            part = part if columns.size else part * (related.shift[term] * problem.scale)
        else:
            at = term - problem.offset_terms
            part = np.exp(affine(term) - affine(problem.terms + at) * z[at]) / loss
        if columns.size:
            column = int(columns[0])
            sums[column] = sums[column] + part if column in sums else part
        else:
            known = known + part
    return [sums[column] for column in sorted(sums)], 1 - known


def _plain_start(problem: Problem) -> Array:
    """theta of equal terms and exponents of 0.3, for a scan without a usable cell."""
    powers = len(problem.z)
    level = np.median(problem.y) - np.log(problem.terms)
    offset = [np.exp(level) / problem.scale] * problem.offset_terms
    return np.array([*offset, *[level] * powers, *[0.3] * powers])


def solve(problem: Problem, weights: Array, starts: int, warm: Array | None = None) -> Solution:
    """The best minimum found per weighting, from `starts` cells of the scan and, where given,
    the `warm` free numbers (F,); then every negligible term is tried at exactly zero.
    """
    parts = [
        _solve_block(problem, weights[block], starts, warm)
        for block in blocks(len(weights), problem.y.size * starts, BATCH)
    ]
    return joined(parts)


def _solve_block(problem: Problem, weights: Array, starts: int, warm: Array | None) -> Solution:
    first = scan(problem, weights, starts)
    if warm is not None and np.isfinite(warm).all():
        first = np.concatenate([first, np.repeat(warm[None, None], len(weights), axis=0)], axis=1)
    found = best_of(problem, weights, first, problem.delta)
    return _drop_dead_terms(problem, weights, found, starts)


def _drop_dead_terms(problem: Problem, weights: Array, solution: Solution, starts: int) -> Solution:
    """A log amplitude cannot reach zero, so a vanishing power term is a limit that Newton nears.

    Where one is negligible at every point (for a single weighting: always), the law without it is
    solved outright, and kept if it is no worse. A term whose amplitude is known or shared stays.
    """
    if len(problem.z) == 1:
        return solution
    free, value = solution.theta.copy(), solution.value.copy()
    certified, related = solution.certified.copy(), problem.related
    for power in range(len(problem.z)):
        term = problem.offset_terms + power
        column = np.flatnonzero(related.own == term)
        if not column.size or np.count_nonzero(related.turn[:, column]) > 1:
            continue
        with np.errstate(invalid="ignore"):  # of terms that are dead already
            theta = problem.whole(free)
        columns, factor = problem.factors[term]
        share = (theta[:, columns] @ factor.T - problem.y).max(axis=1)
        suspects = np.arange(len(free)) if len(free) == 1 else np.flatnonzero(share < DEAD_SHARE)
        if not suspects.size:
            continue
        fewer, left = related.without(term, problem.terms + power)
        smaller = replace(
            problem,
            z=np.delete(problem.z, power, axis=0),
            relations=None if problem.relations is None else fewer,
        )
        if left.size:
            ends = _solve_block(smaller, weights[suspects], min(starts, 4), None)
        else:
            none = np.empty((suspects.size, 0))
            known = objective(smaller, weights[suspects], none, problem.delta)
            ends = Solution(none, known, np.ones(suspects.size, dtype=bool))
        # within rounding of each other, zero is the simpler statement
        won = ends.value <= value[suspects] * (1 + 1e-9)
        rows = suspects[won]
        free[rows] = 0.0
        free[np.ix_(rows, left)] = ends.theta[won]
        free[rows, column] = -np.inf
        value[rows], certified[rows] = ends.value[won], ends.certified[won]
    return Solution(free, value, certified)
