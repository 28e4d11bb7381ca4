"""Exact minimiser, in batch over weightings of the same points, of the log-Huber objective

    f_w(theta) = sum_i w_i H_delta(r_i),   r_i = ln(E + sum_k exp(a_k - alpha_k z_ik)) - ln L_i

for additive power laws. z is the centred log of a variable, which takes the Hessian's condition
from 1e7 to 1e4. theta = (E / smallest loss, a_1 .. a_K, alpha_1 .. alpha_K), without the first
where the law has no offset. E is kept linear, so that Newton can reach and certify E = 0, which a
log only nears; amplitudes are logs, and a dead term has a = -inf.

How: a variable-projection scan over the exponents gives starts; damped exact Newton with the true
Huber Hessian finishes each, directly and by continuation in delta; the better end is kept. Neither
way alone finds the global minimum of every weighting. Shapes: R weightings, n points, P numbers,
m terms (offset first).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement, product

import numpy as np

from analysis.newton import Array, Solution, best_of, blocks

EXPONENT_RANGE = (1e-3, 6.0)  # outside it a power of any real range of scales is flat or dead
SCAN_RANGE, SCAN_POINTS = (0.02, 2.5), 24
OVERFLOW = 600.0  # logs above it are clipped: such a trial step is rejected anyway
DEAD_SHARE = 1e-5  # a term below this share of the loss at every point is tried at exactly zero


@dataclass(frozen=True)
class Problem:
    """The points in logs: z (K, n) centred, y = ln L (n,), and whether there is an offset term."""

    z: Array
    y: Array
    offset_terms: int  # 0 or 1
    delta: float

    @property
    def terms(self) -> int:
        return self.offset_terms + len(self.z)

    @property
    def size(self) -> int:
        return self.terms + len(self.z)

    @cached_property
    def scale(self) -> float:
        """The smallest loss: the unit of E in theta."""
        return float(np.exp(self.y.min()))

    @cached_property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""
        powers = len(self.z)
        ends = ((0.0, -np.inf, EXPONENT_RANGE[0]), (10.0, np.inf, EXPONENT_RANGE[1]))
        low, high = (
            np.array([*[offset] * self.offset_terms, *[log] * powers, *[exponent] * powers])
            for offset, log, exponent in ends
        )
        return low, high

    @cached_property
    def features(self) -> Array:
        """Columns 1, z_k, z_k z_l (k <= l): every moment of the Hessian is a sum against them."""
        ones = np.ones((1, self.y.size))
        pairs = combinations_with_replacement(range(len(self.z)), 2)
        return np.vstack([ones, self.z, *(self.z[k : k + 1] * self.z[m] for k, m in pairs)]).T

    @cached_property
    def pair_column(self) -> dict[tuple[int, int], int]:
        pairs = combinations_with_replacement(range(len(self.z)), 2)
        return {pair: 1 + len(self.z) + at for at, pair in enumerate(pairs)}

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, P) and exact Hessian (R, P, P).

        H = sum_i w_i [psi' grad m grad m^T + psi hess m]. With p = dm/d(E, u_k) and m a logarithm
        of a sum, hess m is -p p^T, plus p_k on the diagonal of each log amplitude; so all second
        moments are sums of (psi' - psi) p_j p_k + psi p_k [j = k] against 1, z, z z.
        """
        terms, offset = self.terms, self.offset_terms
        predicted, share = log_model(self, theta)
        residual = predicted - self.y
        psi = np.clip(residual, -delta, delta)
        value = np.einsum("rn,rn->r", weights, psi * (residual - psi / 2))
        slope = weights * psi
        curvature = weights * (np.abs(residual) <= delta) - slope

        pulled = slope[:, None] * share
        features = self.features
        first = pulled @ features[:, : 1 + len(self.z)]
        gradient = np.empty_like(theta)
        gradient[:, :terms] = first[:, :, 0]
        for k in range(len(self.z)):
            gradient[:, terms + k] = -first[:, offset + k, 1 + k]

        hessian = np.zeros((len(theta), self.size, self.size))
        for j in range(terms):
            for m in range(j, terms):
                mass = curvature * share[:, j] * share[:, m]
                moments = (mass + pulled[:, j] if j == m >= offset else mass) @ features
                hessian[:, j, m] = moments[:, 0]
                if m >= offset:
                    hessian[:, j, terms + m - offset] = -moments[:, 1 + m - offset]
                if j >= offset:
                    hessian[:, m, terms + j - offset] = -moments[:, 1 + j - offset]
                    at = self.pair_column[j - offset, m - offset]
                    hessian[:, terms + j - offset, terms + m - offset] = moments[:, at]
        upper = np.triu(hessian)
        return value, gradient, upper + np.triu(hessian, 1).transpose(0, 2, 1)


def log_model(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """ln L (R, n), and its derivative in E and in each a_k (R, m, n): the latter are the terms'
    shares of the loss, the former 1 / L in units of the smallest loss."""
    offset = problem.offset_terms
    logs = theta[:, offset : problem.terms, None] - theta[:, problem.terms :, None] * problem.z
    logs -= problem.y.min()
    slopes = np.empty((len(theta), problem.terms, problem.y.size))
    powers = slopes[:, offset:]
    np.exp(np.minimum(logs, OVERFLOW), out=powers)
    total = powers.sum(axis=1)
    if offset:
        total += theta[:, :1]
        slopes[:, 0] = 1.0
    slopes /= total[:, None]
    return np.log(total) + problem.y.min(), slopes


def objective(problem: Problem, weights: Array, theta: Array, delta: float) -> Array:
    """f_w(theta), (R,)."""
    residual = log_model(problem, theta)[0] - problem.y
    psi = np.clip(residual, -delta, delta)
    return np.einsum("rn,rn->r", weights, psi * (residual - psi / 2))


def scan(problem: Problem, weights: Array, count: int) -> Array:
    """Variable projection over a grid of exponents: the `count` best starts per weighting,
    (R, count, P).

    With the exponents fixed, weights w / L^2 make linear least squares on L the first-order log
    residual; every cell of every weighting then comes from one matrix product and a small
    Cholesky written out over arrays. Cells with a term that is not positive are left out.
    """
    grid = np.geomspace(*SCAN_RANGE, SCAN_POINTS)
    cells = np.array(list(product(grid, repeat=len(problem.z))))
    loss = np.exp(problem.y)
    basis = np.exp(-cells[:, :, None] * problem.z)
    if problem.offset_terms:
        basis = np.concatenate([np.ones((len(cells), 1, loss.size)), basis], axis=1)
    basis = basis / loss
    pairs = [(j, m) for j in range(problem.terms) for m in range(j + 1)]
    moments = np.stack(
        [
            *(basis[:, j] * basis[:, m] for j, m in pairs),
            *(basis[:, j] for j in range(problem.terms)),
        ]
    )
    starts = np.empty((len(weights), count, problem.size))
    for block in blocks(len(weights), len(cells)):
        sums = moments @ weights[block].T
        gram = dict(zip(pairs, sums, strict=False))
        amplitude, explained = _solve_small(gram, sums[len(pairs) :], problem.terms)
        usable = (amplitude > 0).all(axis=0) & np.isfinite(amplitude).all(axis=0)
        score = np.where(usable, -explained, np.inf)
        best = np.argsort(score, axis=0, kind="stable")[:count].T
        members = np.arange(best.shape[0])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            chosen = amplitude[:, best, members].transpose(1, 2, 0)
            chosen[..., problem.offset_terms :] = np.log(chosen[..., problem.offset_terms :])
            chosen[..., : problem.offset_terms] /= problem.scale
        found = np.concatenate([chosen, cells[best]], axis=2)
        found[~np.isfinite(score[best, members])] = _plain_start(problem)
        starts[block] = found
    return starts


def _plain_start(problem: Problem) -> Array:
    """Where no cell of the scan is usable: equal terms and exponents of 0.3."""
    powers = len(problem.z)
    level = np.median(problem.y) - np.log(problem.terms)
    offset = [np.exp(level) / problem.scale] * problem.offset_terms
    return np.array([*offset, *[level] * powers, *[0.3] * powers])


def _solve_small(gram: dict[tuple[int, int], Array], rhs: Array, size: int) -> tuple[Array, Array]:
    """Cholesky solve of (size x size) systems whose entries are arrays; also rhs . solution."""
    lower: dict[tuple[int, int], Array] = {}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for j in range(size):
            for m in range(j + 1):
                left = gram[j, m] - sum(lower[j, k] * lower[m, k] for k in range(m))
                # a pivot lost to rounding gives nan, and the cell is then not usable
                lower[j, m] = (
                    np.sqrt(np.where(left > 1e-13 * gram[j, j], left, np.nan))
                    if j == m
                    else left / lower[m, m]
                )
        half: list[Array] = []
        for j in range(size):
            half.append((rhs[j] - sum(lower[j, k] * half[k] for k in range(j))) / lower[j, j])
        solution: list[Array] = [np.empty(0)] * size
        for j in reversed(range(size)):
            above = sum(lower[k, j] * solution[k] for k in range(j + 1, size))
            solution[j] = (half[j] - above) / lower[j, j]
        explained = sum((value**2 for value in half), start=np.zeros_like(half[0]))
    return np.stack(solution), explained


def solve(problem: Problem, weights: Array, starts: int, warm: Array | None = None) -> Solution:
    """The best minimum found per weighting, from `starts` cells of the scan and, where given,
    the `warm` theta (P,); then every negligible term is tried at exactly zero.
    """
    parts = [
        _solve_block(problem, weights[block], starts, warm)
        for block in blocks(len(weights), problem.y.size * starts)
    ]
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.certified for part in parts]),
    )


def _solve_block(problem: Problem, weights: Array, starts: int, warm: Array | None) -> Solution:
    first = scan(problem, weights, starts)
    if warm is not None and np.isfinite(warm).all():
        first = np.concatenate([first, np.repeat(warm[None, None], len(weights), axis=0)], axis=1)
    found = best_of(problem, weights, first, problem.delta)
    return _drop_dead_terms(problem, weights, found, starts)


def _drop_dead_terms(problem: Problem, weights: Array, solution: Solution, starts: int) -> Solution:
    """A log amplitude cannot reach zero, so a vanishing power term is a limit that Newton nears.

    Where one is negligible at every point (for a single weighting: always), the law without it is
    solved outright, and kept if it is no worse.
    """
    if len(problem.z) == 1:
        return solution
    theta, value = solution.theta.copy(), solution.value.copy()
    certified = solution.certified.copy()
    for power in range(len(problem.z)):
        term = problem.offset_terms + power
        share = log_model(problem, theta)[1][:, term].max(axis=1)
        suspects = np.arange(len(theta)) if len(theta) == 1 else np.flatnonzero(share < DEAD_SHARE)
        if not suspects.size:
            continue
        smaller = Problem(
            np.delete(problem.z, power, axis=0), problem.y, problem.offset_terms, problem.delta
        )
        columns = np.delete(np.arange(problem.size), [term, problem.terms + power])
        ends = _solve_block(smaller, weights[suspects], min(starts, 4), None)
        # within rounding of each other, zero is the simpler statement
        won = ends.value <= value[suspects] * (1 + 1e-9)
        rows = suspects[won]
        theta[np.ix_(rows, columns)] = ends.theta[won]
        theta[rows, term] = -np.inf
        theta[rows, problem.terms + power] = 0.0
        value[rows], certified[rows] = ends.value[won], ends.certified[won]
    return Solution(theta, value, certified)
