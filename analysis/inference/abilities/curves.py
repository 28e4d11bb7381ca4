"""Least squares of one curve to many data at once, and intervals that join three sources of error.

Curves are fitted by Levenberg and Marquardt's method in float64, from several starts, all resamples
in one array. `joint` resamples items, adds the noise of runs, refits and predicts a new run:

    y*_b = y(items b) + s_b h e      theta_b = fit(y*_b)      draw_b = f(x; theta_b) + s_b h e'

s^2 is the variance of residuals / h on n - p degrees of freedom, and s_b one draw of its posterior.
The noise h is 1 of a loss, and sqrt(f (1 - f)) of an accuracy f, which is quieter near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scaling.common.errors import UserError

Array = NDArray[np.float64]
Curve = Callable[[Array, Array], Array]  # (theta [B, P], x [n] or [B, n]) -> [B, n]
Kind = Literal["loss", "accuracy"]
QUIETEST = 0.02  # of accuracies: nearer to 0 or 1 their noise falls no further
STEPS, TINY = 60, 1e-6


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def item_weights(items: int, resamples: int, rng: np.random.Generator) -> Array:
    """Weights of items: equal in the first row, then those of resamples: [1 + B, I]."""
    drawn = rng.multinomial(items, np.full(items, 1 / items), resamples) / items
    return np.concatenate([np.full((1, items), 1 / items), drawn])


def fit(curve: Curve, x: Array, y: Array, starts: Array) -> Array:
    """The best theta of every row of y [B, n], of all starts [S, P]: [B, P]."""
    best, least = np.zeros((len(y), starts.shape[1])), np.full(len(y), np.inf)
    for start in starts:
        theta = np.repeat(start[None], len(y), 0)
        theta, cost = _minimise(curve, x, y, theta)
        better = cost < least
        best[better], least[better] = theta[better], cost[better]
    return best


def _minimise(curve: Curve, x: Array, y: Array, theta: Array) -> tuple[Array, Array]:
    damping = np.full(len(y), 1e-2)
    off = curve(theta, x) - y
    cost = (off**2).sum(1)
    for _ in range(STEPS):
        slopes = np.stack(
            [
                (curve(theta + step, x) - curve(theta - step, x)) / (2 * TINY)
                for step in TINY * np.eye(theta.shape[1])
            ],
            axis=2,
        )
        square = np.einsum("bnp,bnq->bpq", slopes, slopes)
        inner = np.einsum("bnp,bn->bp", slopes, off)
        bend = np.einsum("bpp->bp", square)
        padded = square + np.eye(theta.shape[1]) * (damping[:, None] * (bend + 1e-9))[:, :, None]
        trial = theta - np.clip(np.linalg.solve(padded, inner[..., None])[..., 0], -2, 2)
        missed = curve(trial, x) - y
        new = (missed**2).sum(1)
        better = new < cost
        theta, off = np.where(better[:, None], trial, theta), np.where(better[:, None], missed, off)
        damping = np.clip(np.where(better, damping / 4, damping * 4), 1e-9, 1e9)
        done = np.abs(cost - new) <= 1e-12 * cost
        cost = np.where(better, new, cost)
        if done.all():
            break
    return theta, cost


def loudness(values: Array, kind: Kind) -> Array:
    """h: the noise of runs of these values, up to a factor."""
    if kind == "loss":
        return np.ones_like(values)
    inside = np.clip(values, QUIETEST, 1 - QUIETEST)
    return np.sqrt(inside * (1 - inside))


@dataclass(frozen=True)
class Drawn:
    """A fit of every resample: theta [1 + B, P] with the plain one first, and the noise of runs."""

    theta: Array
    noise: Array  # [1 + B]: the standard deviation of a run over h, 0 in the first
    kind: Kind

    def at(self, curve: Curve, x: Array, rng: np.random.Generator) -> Array:
        """The curve at x [1 + B, 1], and with the noise of a new run but in the first: [1 + B]."""
        values = curve(self.theta, x)[:, 0]
        drawn = self.noise * rng.normal(size=len(self.noise))
        return values + drawn * loudness(values, self.kind)


def joint(
    curve: Curve, x: Array, y: Array, starts: Array, rng: np.random.Generator,
    kind: Kind = "accuracy",
) -> Drawn:  # fmt: skip
    """Fit the curve to each resample of items y [1 + B, n], with noise of the runs added.

    Raises:
        UserError: no more runs than constants.
    """
    n, p = y.shape[1], starts.shape[1]
    if n <= p:
        raise UserError(f"{n} runs for {p} constants; train {p + 1} sizes or more")
    own = x[:1] if x.ndim == 2 else x
    plain = fit(curve, own, y[:1], starts)
    fitted = curve(plain, own)
    h = loudness(fitted, kind)
    variance = (((fitted - y[:1]) / h) ** 2).sum() / (n - p)
    spread = np.sqrt(variance * (n - p) / rng.chisquare(n - p, len(y)))
    spread[0] = 0
    noisy = y + spread[:, None] * h * rng.normal(size=y.shape)
    near = np.concatenate([plain, starts])
    return Drawn(fit(curve, x, noisy, near[:2]), spread, kind)
