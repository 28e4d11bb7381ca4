"""Damped exact Newton for Huber objectives, in batch over weightings of the same points.

    f_w(theta) = sum_i w_i H_delta(r_i(theta))

The true Huber Hessian, with its eigenvalues taken by size, ends quadratically where a generic
optimiser crawls; continuation in delta leads into the basin where the direct way misses it. R
weightings, P numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONTINUATION = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8)
STEP_CAP = 3.0
BLOCK = 1 << 17  # numbers per array in a block of weightings: a few of them stay in cache


class Smooth(Protocol):
    """What Newton needs of a problem."""

    @property
    def box(self) -> tuple[Array, Array]:
        """Lower and upper ends of theta."""

    def derivatives(self, weights: Array, theta: Array, delta: float) -> tuple[Array, Array, Array]:
        """f (R,), gradient (R, P) and Hessian (R, P, P)."""


@dataclass(frozen=True)
class Solution:
    """Best end per weighting: theta (R, P), f (R,), and whether the end is certified a minimum."""

    theta: Array
    value: Array
    certified: NDArray[np.bool_]


def newton(
    problem: Smooth, weights: Array, theta: Array, delta: float, limit: int = 300
) -> Solution:
    """Damped Newton from `theta`, inside the box; stops at a predicted gain < 1e-14 f.

    Eigenvalues are taken by size, which turns saddles into descent, plus a shift that grows when
    a step fails. Finished members leave the batch.
    """
    low, high = problem.box
    theta = theta.clip(low, high)
    value, gradient, hessian = problem.derivatives(weights, theta, delta)
    shift = np.zeros(len(theta))
    certified = np.zeros(len(theta), dtype=bool)
    live = np.arange(len(theta))
    tiny = 1e-24 * weights.sum(axis=1)
    for _ in range(limit):
        at, g, H = theta[live], gradient[live].copy(), hessian[live].copy()
        held = ((at <= low) & (g > 0)) | ((at >= high) & (g < 0))
        g[held] = 0.0
        H[held[:, :, None] | held[:, None, :]] = 0.0
        curve, basis = np.linalg.eigh(H)
        curve = np.abs(curve)
        along = np.einsum("rpk,rp->rk", basis, g)
        # far from every kink the Huber Hessian can vanish: the slope then sets the scale
        largest = np.maximum(curve, np.abs(along) / STEP_CAP).max(axis=1, keepdims=True) + 1e-100
        curve = np.maximum(curve, 1e-12 * largest)
        gain = 0.5 * np.sum(along**2 / curve, axis=1)
        done = gain <= 1e-14 * value[live] + tiny[live]
        certified[live[done]] = True
        # the last step is below what f can show, and squares the error that is left
        last = np.einsum("rpk,rk->rp", basis[done], along[done] / curve[done])
        theta[live[done]] = (at[done] - last).clip(low, high)
        stuck = shift[live] > 1e12
        certified[live[stuck & (gain <= 1e-10 * value[live])]] = True
        keep = ~(done | stuck)
        if not keep.any():
            break
        live, at, basis, along = live[keep], at[keep], basis[keep], along[keep]
        damped = curve[keep] + shift[live, None] * largest[keep]
        step = -np.einsum("rpk,rk->rp", basis, along / damped)
        step *= np.minimum(1.0, STEP_CAP / (np.abs(step).max(axis=1, keepdims=True) + 1e-300))
        trial = (at + step).clip(low, high)
        new_value, new_gradient, new_hessian = problem.derivatives(weights[live], trial, delta)
        better = new_value < value[live]
        moved = live[better]
        theta[moved], value[moved] = trial[better], new_value[better]
        gradient[moved], hessian[moved] = new_gradient[better], new_hessian[better]
        relaxed = np.where(shift[live] > 1e-6, shift[live] / 10, 0.0)
        shift[live] = np.where(better, relaxed, np.maximum(shift[live] * 10, 1e-4))
    return Solution(theta, value, certified)


def best_of(problem: Smooth, weights: Array, starts: Array, delta: float) -> Solution:
    """The best end per weighting from all its starts (R, S, P), the first of them also by
    continuation from wide to narrow Huber widths. Weightings (R, n)."""
    tries = starts.shape[1]
    flat, repeated = starts.reshape(-1, starts.shape[-1]), np.repeat(weights, tries, axis=0)
    ends = [
        newton(problem, repeated, flat, delta),
        _continue(problem, weights, starts[:, 0], delta),
    ]

    def together(name: str) -> Array:
        many, one = (getattr(end, name) for end in ends)
        return np.concatenate([many.reshape(len(weights), tries, *many.shape[1:]), one[:, None]], 1)

    theta, value, certified = (together(name) for name in ("theta", "value", "certified"))
    pick = np.arange(len(weights)), value.argmin(axis=1)
    return Solution(theta[pick], value[pick], certified[pick])


def _continue(problem: Smooth, weights: Array, theta: Array, delta: float) -> Solution:
    """Newton at falling delta, each from the last end: smoother objectives lead into the basin."""
    for wider in CONTINUATION:
        if wider > delta:
            theta = newton(problem, weights, theta, wider, limit=25).theta
    return newton(problem, weights, theta, delta)


def blocks(members: int, numbers_each: int) -> list[slice]:
    """Slices of the members, each of about `BLOCK` numbers."""
    each = max(1, BLOCK // max(1, numbers_each))
    return [slice(at, min(at + each, members)) for at in range(0, members, each)]
