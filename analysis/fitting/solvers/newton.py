"""Damped exact Newton for Huber objectives, in batch over weightings of the same points.

    f_w(theta) = sum_i w_i H_delta(r_i(theta))

Steps with the true Huber Hessian converge quadratically. Division by the sizes of its pivots makes
them descend at saddles too. Continuation in delta finds basins that a direct start misses. R
weightings, P numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.tables.points import Array

# near the narrowest width steps of 3 lose the corner that absolute residuals end in
CONTINUATION = (
    3e-2,
    1e-2,
    3e-3,
    1e-3,
    3e-4,
    1e-4,
    3e-5,
    1e-5,
    3e-6,
    1e-6,
    3e-7,
    1e-7,
    3e-8,
    2e-8,
    1.4e-8,
    1.2e-8,
)
STEP_CAP = 3.0
ITERATIONS, LEADING = 300, 60  # at most, of a fit and of each wider one that leads to it
NOTHING = 1e-24  # f per unit of weight that counts as zero
LAST = 1e-3  # in theta: a longer last step would not be one of the quadratic end
SAME = 1e-9  # of f: ends that differ by less are one minimum
FOLLOWED, FALLS = 12, 1e-7  # leaps at most, while f falls by this share
LEAPS = np.array([0.0, 1.0, 2.0, 4.0, 16.0, 64.0, 256.0])  # of the last move along a valley
SHORT, WAY = 20, 100  # steps of Newton around each leap, and at most before the first
ROWS_WITHIN = 4  # per parameter: fewer rows within delta of the curve make a fit doubtful
BLOCK = 1 << 17  # numbers per array in a block of weightings: a few of them stay in cache


class Smooth(Protocol):
    """A problem that Newton can minimise."""

    @property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, P) and Hessian (R, P, P)."""

    def directions(self, weights: Array, theta: Array) -> Array | None:
        """Columns (R, P, P) along which f curves about alike, for the damping; None: as theta."""


@dataclass(frozen=True)
class Solution:
    """Best end per weighting: theta (R, P), f (R,), and whether the end is certified a minimum."""

    theta: Array
    value: Array
    certified: NDArray[np.bool_]


def joined(parts: Sequence[Solution]) -> Solution:
    """The ends of all weightings, in order."""
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.certified for part in parts]),
    )


def newton(
    problem: Smooth, weights: Array, theta: Array, delta: float, iterations: int | None = None
) -> Solution:
    """Damped Newton from `theta`, inside the box; stops at a predicted gain < 1e-14 f.

    A step that fails is tried again with a growing shift. Finished members leave the batch.
    """
    low, high = problem.box
    theta = theta.clip(low, high)
    value, gradient, hessian = problem.derivatives(weights, theta, delta)
    turned = problem.directions(weights, theta)
    ends = Solution(theta.copy(), value.copy(), np.zeros(len(theta), dtype=bool))
    tiny = NOTHING * weights.sum(axis=1)
    shift = np.zeros(len(theta))
    live = np.arange(len(theta))
    for _ in range(iterations or ITERATIONS):
        held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
        full, step, gain = _steps(gradient, hessian, shift, held, turned)
        done = gain <= 1e-14 * value + tiny
        over = done | (shift > 1e12)
        if over.any():
            # the last step is below the resolution of f, and squares the error that is left; a long
            # one is rounding over no curvature
            short = done & (np.abs(full).max(axis=1) < LAST)
            last = theta + np.where(short[:, None], full, 0.0)
            ends.theta[live[over]] = last[over].clip(low, high)
            ends.value[live[over]] = value[over]
            ends.certified[live[over]] = (done | (gain <= 1e-10 * value))[over]
            stay = ~over
            if not stay.any():
                return ends
            live, weights, tiny, shift = live[stay], weights[stay], tiny[stay], shift[stay]
            theta, step, value = theta[stay], step[stay], value[stay]
            gradient, hessian = gradient[stay], hessian[stay]
            turned = None if turned is None else turned[stay]
        trial = (theta + step).clip(low, high)
        found = problem.derivatives(weights, trial, delta)
        better = found[0] < value
        theta = np.where(better[:, None], trial, theta)
        value = np.where(better, found[0], value)
        gradient = np.where(better[:, None], found[1], gradient)
        hessian = np.where(better[:, None, None], found[2], hessian)
        relaxed = np.where(shift > 1e-6, shift / 10, 0.0)
        shift = np.where(better, relaxed, np.maximum(shift * 10, 1e-4))
    ends.theta[live], ends.value[live] = theta, value
    return ends


def _steps(
    gradient: Array,
    hessian: Array,
    shift: Array,
    held: NDArray[np.bool_],
    turned: Array | None,
) -> tuple[Array, Array, Array]:
    """The full step (R, P), the one to try, damped by the shift, and the gain (R,) that the full
    one predicts. Numbers that a bound holds have no equation and stay."""
    if turned is not None:
        free = np.where(held[:, :, None], 0.0, turned)
        gradient = np.einsum("rpk,rp->rk", free, gradient)
        hessian = free.transpose(0, 2, 1) @ hessian @ free
        steps = _steps(gradient, hessian, shift, np.zeros_like(held), None)
        return (
            np.einsum("rpk,rk->rp", free, steps[0]),
            np.einsum("rpk,rk->rp", free, steps[1]),
            steps[2],
        )
    gradient = np.where(held, 0.0, gradient)
    # far from every kink the Hessian can vanish: the slope then sets the scale
    diagonal = np.abs(np.einsum("rpp->rp", hessian))
    largest = np.maximum(diagonal, np.abs(gradient) / STEP_CAP).max(axis=1) + 1e-100
    gram = np.ascontiguousarray(hessian.transpose(1, 2, 0))
    own = np.arange(len(gram))
    if held.any():
        alone = largest * np.eye(len(gram))[:, :, None]
        gram = np.where(held.T | held.T[:, None], alone, gram)
    full, gain = _step(gram, gradient, largest)
    step = full.copy()
    damped = np.flatnonzero(shift > 0)
    if damped.size:
        raised = gram[:, :, damped]
        raised[own, own] += (shift * largest)[damped]
        step[damped] = _step(raised, gradient[damped], largest[damped])[0]
    return full, step, gain


def _step(gram: Array, gradient: Array, largest: Array) -> tuple[Array, Array]:
    """- H^-1 g (R, P) with pivots by size, capped, and the gain (R,) that it predicts:
    g H^-1 g / 2 where it is whole. On a flat piece, with all rows outside delta, the gradient is
    rounding and the whole step would predict a large gain. H is gram (P, P, R)."""
    solution, explained = _solve(gram, gradient.T, 1e-12 * largest)
    step = -solution.T
    share = np.minimum(1.0, STEP_CAP / (np.abs(step).max(axis=1) + 1e-300))
    return step * share[:, None], explained * share * (1 - share / 2)


def _solve(gram: Array, rhs: Array, least: Array) -> tuple[Array, Array]:
    """x (P, R) of R symmetric systems gram x = rhs, and rhs . x (R,). L |D| L^T column by column;
    of gram (P, P, R) the lower half counts, and no pivot is below `least` (R,)."""
    left, half = gram.copy(), rhs.copy()
    pivots = np.empty_like(half)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for j in range(len(left)):
            pivots[j] = np.maximum(np.abs(left[j, j]), least)
            below = left[j + 1 :, j].copy()
            unit = below / pivots[j]
            left[j + 1 :, j + 1 :] -= below[:, None] * unit
            half[j + 1 :] -= unit * half[j]
            left[j + 1 :, j] = unit
        solution = half / pivots
        explained = (half * solution).sum(axis=0)
        for j in reversed(range(len(left) - 1)):
            solution[j] -= (left[j + 1 :, j] * solution[j + 1 :]).sum(axis=0)
    return solution, explained


def best_of(
    problem: Smooth, weights: Array, starts: Array, delta: float, iterations: int | None = None
) -> Solution:
    """The best end per weighting from all its starts (R, S, P). Weightings (R, n).

    Continuation from the first start runs too if the ends differ or too few rows lie within delta.
    Few rows within delta make f nearly a sum of absolute residuals, whose many corners are minima.
    At total weight W, f / (W delta^2) is about the mean residual in units of delta. So W divided by
    it is about the rows within.
    """
    members, tries, size = starts.shape
    every = np.repeat(weights, tries, axis=0)
    ends = newton(problem, every, starts.reshape(-1, size), delta, iterations)
    value = ends.value.reshape(members, tries)
    pick = np.arange(members) * tries + value.argmin(axis=1)
    best = Solution(ends.theta[pick], ends.value[pick], ends.certified[pick])
    total = weights.sum(axis=1)
    agreed = value.max(axis=1) <= best.value * (1 + SAME) + NOTHING * total
    many = (total * delta) ** 2 >= ROWS_WITHIN * size * best.value
    doubtful = np.flatnonzero(~(agreed & many) | (tries == 1))
    if doubtful.size and delta < CONTINUATION[0]:
        led = _continue(problem, weights[doubtful], starts[doubtful, 0], delta, iterations)
        won = led.value < best.value[doubtful]
        rows = doubtful[won]
        best.theta[rows], best.value[rows] = led.theta[won], led.value[won]
        best.certified[rows] = led.certified[won]
    return best


def followed(problem: Smooth, weights: Array, ends: Solution, delta: float) -> Solution:
    """The ends without a certified minimum, led on along their valleys while that lowers them.

    Newton's steps along a narrow valley are short, and alike. Leaps of many times the last of them
    go far along it, and Newton leads each back to the floor: the lowest goes on.
    """
    found = Solution(ends.theta.copy(), ends.value.copy(), ends.certified.copy())
    left = np.flatnonzero(~ends.certified)
    for _ in range(FOLLOWED):
        if not left.size:
            break
        near = newton(problem, weights[left], found.theta[left], delta, SHORT).theta
        leaps = near[:, None] + LEAPS[:, None] * (near - found.theta[left])[:, None]
        every = np.repeat(weights[left], len(LEAPS), axis=0)
        far = newton(problem, every, leaps.reshape(len(every), -1), delta, SHORT)
        tries = far.value.reshape(len(left), -1)
        best = np.arange(len(left)) * len(LEAPS) + tries.argmin(axis=1)
        falls = far.value[best] < found.value[left] * (1 - FALLS)
        found.theta[left], found.value[left] = far.theta[best], far.value[best]
        found.certified[left] = far.certified[best]
        left = left[falls & ~found.certified[left]]
    return found


def _continue(
    problem: Smooth, weights: Array, theta: Array, delta: float, iterations: int | None
) -> Solution:
    """Newton at falling delta, each from the last end: smoother objectives lead into the basin."""
    for wider in CONTINUATION:
        if wider > delta:
            theta = newton(problem, weights, theta, wider, LEADING).theta
    return newton(problem, weights, theta, delta, iterations)


def finite(value: Array, gradient: Array, hessian: Array) -> tuple[Array, Array, Array]:
    """Derivatives as they are, or an infinite f and zeros where one is no number."""
    lost = ~(np.isfinite(value) & np.isfinite(gradient).all(1) & np.isfinite(hessian).all((1, 2)))
    return (
        np.where(lost, np.inf, value),
        np.where(lost[:, None], 0.0, gradient),
        np.where(lost[:, None, None], 0.0, hessian),
    )


def blocks(members: int, numbers_each: int, numbers: int = BLOCK) -> list[slice]:
    """Slices of the members, each of about `numbers` numbers."""
    each = max(1, numbers // max(1, numbers_each))
    return [slice(at, min(at + each, members)) for at in range(0, members, each)]
