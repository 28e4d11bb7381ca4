"""The expected interval of a ladder at a target, to first order: fast enough to search by.

About the fit of a truth, constants move by d theta = (J^T W J)^-1 J^T W r, J = d ln L / d theta, r
the truth less the fit. So for any runs, and for the rows below any rung,

    error at x      r(x) - J(x) d theta           in the mean, by the shape of the law
    its variance    s^2 (1 + kappa J(x) (J^T W J)^-1 J(x)^T),  kappa = pi / 2, of absolute residuals

which `prediction.extrapolation` turns into the interval: the rolled errors have these means and
variances, and their expected squares stand for the squares. A ladder is judged by half the expected
interval score of a new run (Winkler 1972), the mean over all truths: a narrow interval that misses
costs more than a wide one that holds. M truths, G cells, P constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.fitting.bootstrap import student_t
from analysis.fitting.prediction.extrapolation import DRIFT, NU, TAU
from analysis.fitting.prediction.roll import SPARE
from analysis.fitting.solvers.engine import engine
from analysis.fitting.solvers.objective import objective
from analysis.fitting.solvers.tables import fit_tables
from analysis.fitting.types import LEVEL
from analysis.inference.designs.simulate import DELTA, STARTS, Ladder
from analysis.inference.designs.truths import Truths
from analysis.tables.points import Array, values_needed

KAPPA = math.pi / 2
RIDGE = 1e-10  # of the largest eigenvalue, in J^T W J


@dataclass(frozen=True)
class Grid:
    """Cells that runs may take, and one target: `params` and `tokens` (G + 1,), the target last.

    `slopes` (M, G + 1, P) are J and `left` (M, G + 1) is r, about the fit of each truth; `logs` are
    its mean log losses, and `sd` the noise of a run.
    """

    params: Array
    tokens: Array
    slopes: Array = field(repr=False)
    left: Array = field(repr=False)
    logs: Array = field(repr=False)
    sd: Array = field(repr=False)
    values: int  # of params and of tokens that a fit needs

    @property
    def compute(self) -> Array:
        """6 params tokens of each cell, (G + 1,)."""
        return 6 * self.params * self.tokens


def grid(
    ladder: Ladder, cells: Mapping[str, Array], target: Mapping[str, float], kinds: Sequence[Truths]
) -> Grid:
    """The cells and the target under all truths, each linear about its fit to `ladder`.

    The runs of `kinds` are those of the ladder, and their targets the cells and then the target.
    """
    law = ladder.law
    at_ladder = np.concatenate([each.runs for each in kinds])
    logs = np.concatenate([each.targets for each in kinds])
    sd = np.concatenate([each.targets_sd for each in kinds])
    points = ladder.points(np.exp(at_ladder.mean(axis=0)))
    goal = objective("log_huber", DELTA)
    start = engine(law, points, goal)(points.weights[None], STARTS, None).values[0]
    ends = fit_tables(law, points, goal, at_ladder, points.weights[None], start)
    theta = np.stack([each.values[0] for each in ends])
    x = {name: np.append(cells[name], target[name]) for name in ("params", "tokens")}
    slopes, fitted = _slopes(ladder, theta, x)
    return Grid(x["params"], x["tokens"], slopes, logs - fitted, logs, sd, values_needed(law))


def _slopes(ladder: Ladder, theta: Array, x: Mapping[str, Array]) -> tuple[Array, Array]:
    """J (M, G, P) in ln theta, by central differences, and ln L (M, G)."""
    law, step = ladder.law, 1e-5

    def log_loss(values: Array) -> Array:
        named = dict(zip(law.parameters, values.T[..., None], strict=True))
        return np.log(law.predict(named, **{name: x[name] for name in law.variables}))

    parts = []
    for at in range(theta.shape[1]):
        up, down = theta.copy(), theta.copy()
        up[:, at] *= 1 + step
        down[:, at] *= 1 - step
        parts.append((log_loss(up) - log_loss(down)) / (2 * step))
    return np.stack(parts, axis=-1), log_loss(theta)


@dataclass(frozen=True)
class Expected:
    """Half-width, mean error and its sd at the target, in log loss, under each truth (M,)."""

    width: Array
    bias: Array
    sd: Array
    rungs: int

    @property
    def score(self) -> float:
        """Half the expected interval score, the mean over the truths."""
        return float(np.mean(self.width + (self._above(1) + self._above(-1)) / (1 - LEVEL)))

    def _above(self, side: int) -> Array:
        """The expected excess of side x error over the half-width."""
        from scipy.special import ndtr

        z = (side * self.bias - self.width) / self.sd
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return np.asarray(self.sd * (density + z * ndtr(z)))


def expected(grid: Grid, runs: NDArray[np.intp], rung: NDArray[np.intp]) -> Expected | None:
    """The expected interval of runs in the cells `runs` (n,), rolled over `rung` (n,); None where a
    law of P constants cannot be fitted to them."""
    order = np.argsort(rung, kind="stable")
    runs, rung = runs[order], rung[order]
    size, P = len(runs), grid.slopes.shape[-1]
    if size < P + 1 or not _told(grid, runs):
        return None
    J, r = grid.slopes[:, runs], grid.left[:, runs]
    outer = np.cumsum(J[..., :, None] * J[..., None, :], axis=1)
    pulled = np.cumsum(J * r[..., None], axis=1)
    starts = np.flatnonzero(np.diff(rung)) + 1  # rows below each later rung
    able = [at for at in starts if at >= P + SPARE and _told(grid, runs[:at])]
    seen = [*able, size]
    inverse, moved = _solved(outer[:, np.array(seen) - 1], pulled[:, np.array(seen) - 1])
    noise2 = np.mean(grid.sd[:, runs] ** 2, axis=1)
    precision, pull, squares = np.full(len(J), DRIFT**-2), np.zeros(len(J)), np.zeros(len(J))
    for at, count in enumerate(able):
        below, later = runs[:count], runs[count:]
        mean = grid.left[:, later] - np.einsum("mgp,mp->mg", grid.slopes[:, later], moved[:, at])
        lever = np.einsum(
            "mgp,mpq,mgq->mg", grid.slopes[:, later], inverse[:, at], grid.slopes[:, later]
        )
        s2 = _residual2(grid, below, moved[:, at], P)[:, None]
        own2 = grid.sd[:, later] ** 2
        fall = _trend(grid, below)[:, None] * _distance(grid, below, later)
        u = s2 * (1 + KAPPA * lever) + (TAU * fall) ** 2
        groups, which = np.unique(rung[count:], return_inverse=True)
        share = 1 / (len(groups) * np.bincount(which)[which])
        second = own2 + KAPPA * noise2[:, None] * lever + mean**2
        precision += np.sum(share * fall**2 / u, axis=1)
        pull += np.sum(share * fall * mean / u, axis=1)
        squares += np.sum(share * second / u, axis=1)
    drift = pull / precision
    freedom = NU + len(able)
    scale = np.sqrt((NU + squares - precision * drift**2) / freedom)
    target = np.array([len(grid.params) - 1])
    g = grid.slopes[:, -1]
    lever = KAPPA * np.einsum("mp,mpq,mq->m", g, inverse[:, -1], g)
    s2 = _residual2(grid, runs, moved[:, -1], P)
    fall = _trend(grid, runs) * _distance(grid, runs, target)[0]
    spread = np.sqrt(s2 * (1 + lever) + (TAU**2 + 1 / precision) * fall**2)
    bias = grid.left[:, -1] - np.einsum("mp,mp->m", g, moved[:, -1]) - drift * fall
    return Expected(
        width=student_t(LEVEL, freedom) * scale * spread,
        bias=bias,
        sd=np.sqrt(grid.sd[:, -1] ** 2 + noise2 * lever),
        rungs=len(able),
    )


def _told(grid: Grid, runs: NDArray[np.intp]) -> bool:
    """True where params and tokens take as many values as their exponents need."""
    names = (grid.params, grid.tokens)
    return all(len(np.unique(np.round(np.log(each[runs]), 6))) >= grid.values for each in names)


def _solved(gram: Array, pulled: Array) -> tuple[Array, Array]:
    """(J^T W J)^-1 and d theta."""
    top = np.trace(gram, axis1=-2, axis2=-1)
    inverse = np.linalg.inv(gram + RIDGE * top[..., None, None] * np.eye(gram.shape[-1]))
    return inverse, np.einsum("mkpq,mkq->mkp", inverse, pulled)


def _residual2(grid: Grid, runs: NDArray[np.intp], moved: Array, constants: int) -> Array:
    """The expected square of the residual sd, (M,)."""
    missed = grid.left[:, runs] - np.einsum("mgp,mp->mg", grid.slopes[:, runs], moved)
    free = len(runs) - constants
    return np.asarray(np.mean(grid.sd[:, runs] ** 2, axis=1) + np.sum(missed**2, axis=1) / free)


def _distance(grid: Grid, runs: NDArray[np.intp], at: NDArray[np.intp]) -> Array:
    """ln of the largest factor of cells outside the runs, (len(at),)."""
    away = np.zeros(len(at))
    for each in (grid.compute, grid.params, grid.tokens):
        low, high = each[runs].min(), each[runs].max()
        away = np.maximum(away, np.log(np.maximum(each[at] / high, low / each[at])))
    return away


def _trend(grid: Grid, runs: NDArray[np.intp]) -> Array:
    """The fall of ln L over an e-fold of compute in the runs, (M,)."""
    x = np.log(grid.compute[runs])
    x = x - x.mean()
    return np.abs(grid.logs[:, runs] @ x) / max(float(x @ x), 1e-9)
