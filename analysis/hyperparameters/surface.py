"""One bowl for all cells, whose bottom moves as a power law.

    ln L_i = m_cell + (u_i - t)^T A (u_i - t),   u = ln h,   t_h = ln c_h + sum_k p_hk ln x_k

A (H, H) is shared, m is free in each cell, and `depends` gives the variables of each hyperparameter
h. t^T A t is constant within a cell, so m absorbs it. The rest, u^T A u - 2 u^T A t, is bilinear in
A and t: with m projected out, Gauss-Newton from the linear solution takes a few steps. Intervals
resample cells, for runs of one cell share m.

The runs of all cells determine one curvature, so a cell with its optimum near an edge still counts.
A bowl that is skewed, or that flattens with scale, biases it: compare with `optimum_per_cell`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.bootstrap import resample_weights
from analysis.hyperparameters.cells import Cells, cells, check_within
from analysis.hyperparameters.power_law import OptimumLaw, spans
from analysis.tables.points import Array, check_spans
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

STEPS = 50
RIDGE = 1e-13  # of the scaled normal matrix, so that one without rank is solved, not settled
STILL = 1e-9  # a step of all parameters smaller than this ends the search
BLOCK = 4_000_000  # entries of a batch of Jacobians


class SurfaceStatus(StrEnum):
    """Worth of the numbers of a joint surface."""

    CONVERGED = "converged"
    NOT_CONVEX = "not convex"  # the bowl has no bottom: no law
    NOT_SETTLED = "not settled"  # the search did not end: no law


@dataclass(frozen=True)
class JointSurface:
    """The bowl and the laws of its bottom. `laws` is empty unless the status is CONVERGED.

    `curvature` is A, in ln L per squared natural logarithm; `noise` the root mean square residual
    in ln L; `runs` those near the minimum of their cell.
    """

    laws: Mapping[str, OptimumLaw]
    curvature: Array
    noise: float
    runs: int
    status: SurfaceStatus
    warnings: tuple[str, ...]


def joint_surface(
    table: pd.DataFrame,
    depends: Mapping[str, tuple[str, ...]],
    *,
    cell: tuple[str, ...],
    loss: str = "loss",
    within: float = 0.02,
    bootstrap: int = 200,
    seed: int = 0,
) -> JointSurface:
    """Fit the bowl to the runs with a loss at most 1 + `within` times the least of their cell.

    `depends` names the columns of the cell that each hyperparameter follows, such as
    {"lr": ("params_nonembedding", "tokens"), "batch_tokens": ("tokens",)}.
    """
    check_within(within)
    for name in (each for names in depends.values() for each in names):
        if name not in cell:
            raise UserError(f"depends: '{name}' is no column of the cell: {nearest(name, cell)}")
    runs = cells(table, cell, tuple(depends), loss)
    notes = list(runs.notes)
    for hyper, names in depends.items():
        notes += check_spans(f"law of '{hyper}'", names, _columns(runs, names).T)
    bowl = Bowl.of(runs, runs.excess <= within, depends)
    theta, settled = bowl.solve(np.ones((1, len(runs))), bowl.start())
    curvature, _ = bowl.split(theta)
    status = SurfaceStatus.CONVERGED
    if not (np.linalg.eigvalsh(curvature[0]) > 0).all():
        status = SurfaceStatus.NOT_CONVEX
    elif not settled[0]:
        status = SurfaceStatus.NOT_SETTLED
    laws: dict[str, OptimumLaw] = {}
    noise = float(np.sqrt(np.mean(bowl.residual(theta) ** 2)))
    if status is SurfaceStatus.CONVERGED:
        # expanded percentiles need more cells than the law of most variables has constants
        needed = 2 + max(len(names) for names in depends.values())
        samples = np.empty((0, theta.shape[1]))
        if bootstrap and len(runs) >= needed:
            weights = resample_weights("dirichlet", np.arange(len(runs)), bootstrap, seed, needed)
            samples, settled = bowl.solve(weights, theta[0])
            samples = samples[settled]
            if not settled.all():
                notes.append(f"{int((~settled).sum())} of {bootstrap} resamples not settled")
        elif bootstrap:
            notes.append(f"{len(runs)} cells are too few for an interval: needed {needed}")
        for h, (name, variables) in enumerate(depends.items()):
            estimate, drawn = bowl.law(theta, h)[0], bowl.law(samples, h)
            fitted_on = spans(variables, _columns(runs, variables))
            laws[name] = OptimumLaw(
                name, variables, estimate, drawn, len(runs), math.nan, fitted_on, tuple(notes)
            )
    else:
        notes.append(f"{status}: no law of the optimum follows from these runs")
    return JointSurface(laws, curvature[0], noise, len(bowl.y), status, tuple(notes))


def _columns(runs: Cells, names: tuple[str, ...]) -> Array:
    """Logarithms (G, K) of these columns of the cells."""
    return runs.log_cell[:, [runs.cell.index(name) for name in names]]


@dataclass(frozen=True)
class Bowl:
    """The runs as arrays: u (n, H) and x (n, 1 + K) centred logarithms, the first of x being 1,
    y = ln L (n,) less its mean in the cell, `member` (n,) the cell. `pairs` are the entries of A on
    and above its diagonal, `free` the (h, column of x) of t that are fitted: theta holds both."""

    u: Array
    x: Array
    y: Array
    member: NDArray[np.intp]
    pairs: tuple[tuple[int, int], ...]
    free: tuple[tuple[int, int], ...]
    u_centre: Array
    x_centre: Array

    @classmethod
    def of(
        cls, runs: Cells, near: NDArray[np.bool_], depends: Mapping[str, tuple[str, ...]]
    ) -> Bowl:
        u, member = runs.log_hyper[near], runs.member[near]
        x = runs.log_cell[member]
        count = len(runs.hyper)
        return cls(
            u=u - u.mean(axis=0),
            x=np.column_stack([np.ones(len(x)), x - x.mean(axis=0)]),
            y=_less_mean(np.log(runs.loss[near])[:, None], member)[:, 0],
            member=member,
            pairs=tuple((h, g) for h in range(count) for g in range(h, count)),
            free=tuple(
                (h, at)
                for h, names in enumerate(depends.values())
                for at in (0, *(1 + runs.cell.index(name) for name in names))
            ),
            u_centre=u.mean(axis=0),
            x_centre=x.mean(axis=0),
        )

    def split(self, theta: Array) -> tuple[Array, Array]:
        """A (R, H, H) and the whole matrix T (R, H, 1 + K) of t = T x."""
        count = self.u.shape[1]
        A = np.zeros((len(theta), count, count))
        for at, (h, g) in enumerate(self.pairs):
            A[:, h, g] = A[:, g, h] = theta[:, at]
        T = np.zeros((len(theta), count, self.x.shape[1]))
        for at, (h, k) in enumerate(self.free):
            T[:, h, k] = theta[:, len(self.pairs) + at]
        return A, T

    def law(self, theta: Array, h: int) -> Array:
        """ln c and the exponents of one hyperparameter, (R, 1 + its variables)."""
        _, T = self.split(theta)
        used = [k for row, k in self.free if row == h and k > 0]
        powers = T[:, h, used]
        constant = T[:, h, 0] + self.u_centre[h] - powers @ self.x_centre[[k - 1 for k in used]]
        return np.column_stack([constant, powers])

    def start(self) -> Array:
        """The linear solution: u^T A u + u^T M x, then t = -A^-1 M x / 2 as far as it is free."""
        features = [self.u[:, h] * self.u[:, g] * (1 + (h != g)) for h, g in self.pairs]
        features += [self.u[:, h] * self.x[:, k] for h, k in self.free]
        design = _less_mean(np.stack(features, axis=1), self.member)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise UserError(
                f"joint surface: the {len(self.y)} runs near the minima do not determine the bowl; "
                "vary each hyperparameter in the cells, or raise `within`"
            )
        found = np.asarray(np.linalg.pinv(design) @ self.y, np.float64)[None]
        A, M = self.split(found)
        T = -np.linalg.solve(A, M)[0] / 2
        return np.concatenate([found[0, : len(self.pairs)], [T[h, k] for h, k in self.free]])

    def residual(self, theta: Array) -> Array:
        """ln L less the bowl, (R, n)."""
        A, T = self.split(theta)
        t = self.x @ T.transpose(0, 2, 1)  # (R, n, H)
        bowl = ((self.u @ A) * (self.u - 2 * t)).sum(axis=-1)
        return self.y - _less_mean(bowl.T, self.member).T

    def jacobian(self, theta: Array) -> Array:
        """d bowl / d theta, (R, n, P)."""
        A, T = self.split(theta)
        t = self.x @ T.transpose(0, 2, 1)  # (R, n, H)
        u, slope = self.u, self.u @ A
        columns = [
            (u[:, h] * (u[:, g] - 2 * t[..., g]) + (h != g) * u[:, g] * (u[:, h] - 2 * t[..., h]))
            for h, g in self.pairs
        ]
        columns += [-2 * slope[..., h] * self.x[:, k] for h, k in self.free]
        stacked = np.stack(columns, axis=0)  # (P, R, n)
        flat = stacked.reshape(-1, len(self.y)).T
        return _less_mean(flat, self.member).T.reshape(stacked.shape).transpose(1, 2, 0)

    def solve(self, weights: Array, start: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Gauss-Newton under each weighting of the cells (R, G): theta (R, P), convergence (R,)."""
        block = max(1, BLOCK // (len(self.y) * len(start)))
        parts = [
            self._solve(weights[at : at + block], start) for at in range(0, len(weights), block)
        ]
        thetas, settled = zip(*parts, strict=True)
        return np.concatenate(thetas), np.concatenate(settled)

    def _solve(self, weights: Array, start: Array) -> tuple[Array, NDArray[np.bool_]]:
        theta = np.repeat(start[None], len(weights), axis=0)
        settled = np.zeros(len(theta), dtype=bool)
        each = weights[:, self.member]
        for _ in range(STEPS):
            going = ~settled
            J, r = self.jacobian(theta[going]), self.residual(theta[going])
            weighted = J * each[going][..., None]
            normal = np.einsum("rnp,rnq->rpq", weighted, J, optimize=True)
            scale = np.sqrt(np.maximum(np.einsum("rpp->rp", normal), 1e-300))
            scaled = normal / (scale[:, :, None] * scale[:, None, :]) + RIDGE * np.eye(len(start))
            right = np.einsum("rnp,rn->rp", weighted, r) / scale
            step = np.linalg.solve(scaled, right[..., None])[..., 0] / scale
            theta[going] += step
            settled[going] = np.abs(step).max(axis=1) < STILL
            if settled.all():
                break
        return theta, settled


def _less_mean(columns: Array, member: NDArray[np.intp]) -> Array:
    """(n, C) less the mean of each column over each cell."""
    belongs = (member == np.arange(member.max() + 1)[:, None]).astype(np.float64)
    means = belongs @ columns / belongs.sum(axis=1, keepdims=True)
    return columns - means[member]
