"""Noise of ln loss from run to run, measured without the curve that is fitted to the profiles.

Runs that repeat a size tell it by their scatter. Else neighbouring sizes do: the contrast of five
that annihilates every cubic, or of four that annihilates every parabola,

    e = sum_i c_i ln L_i,   sum_i c_i^2 / w_i = 1,   sigma^2 = mean e^2

Contrasts of overlapping sizes are correlated, M = c c^T, so they count for tr(M)^2 / tr(M^2)
degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.estimators.vertex import SIZES
from analysis.tables.columns import Array, column_of

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 3  # degrees of freedom that repeated sizes must hold
CONTRAST = 5  # sizes of a contrast, at most
LEVEL = 0.95  # of the F test
FLOOR = 1e-4  # no run repeats its ln loss more closely
SETTINGS = {
    *("learning_rate", "lr", "batch_tokens", "batch_size", "batch", "batch_seqs", "weight_decay"),
    *("width", "depth", "layers", "schedule", "warmup", "context", "seq_len"),
}


@dataclass(frozen=True)
class Noise:
    """The standard deviation of ln loss of a run, and its degrees of freedom: inf if it is given,
    0 if it is unknown."""

    sd: float
    freedom: float

    def explains(self, misses: Noise) -> bool:
        """True where scatter about curves is no larger, by an F test; none is, if unknown."""
        from scipy.special import fdtri

        if not (self.freedom and misses.freedom):
            return True
        bound = min(self.freedom, 1e6)
        ratio = float(fdtri(misses.freedom, bound, LEVEL))
        return misses.sd**2 <= ratio * max(self.sd, FLOOR) ** 2

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Standard deviations (count,) that the runs allow: sd sqrt(f / chi^2 of f)."""
        if not np.isfinite(self.freedom):
            return np.full(count, self.sd)
        return np.asarray(self.sd * np.sqrt(self.freedom / rng.chisquare(self.freedom, count)))


def repeats(rows: pd.DataFrame) -> NDArray[np.intp]:
    """The setting of each row (n,): rows of other learning rates or batches are no repeats."""
    columns = [name for name in rows.columns if str(name).rsplit(".", 1)[-1].lower() in SETTINGS]
    if not columns:
        return np.zeros(len(rows), np.intp)
    values = [column_of(rows, name).astype(str) for name in columns]
    return np.asarray(rows.groupby(values, sort=False, dropna=False).ngroup(), np.intp)


def local_noise(
    x: Array,
    ln_loss: Array,
    weights: Array,
    settings: NDArray[np.intp],
    groups: Sequence[NDArray[np.intp]],
) -> Noise:
    """The noise of runs (n,) that repeat a size x and a setting in their budget, else of
    neighbouring sizes."""
    squares, freedom, contrasts, drawn = 0.0, 0, [], []
    for at in groups:
        y, w = ln_loss[at], weights[at]
        pairs, cell = np.unique(np.stack([x[at], settings[at]]), axis=1, return_inverse=True)
        away = y - _means(y, w, cell.reshape(-1))[0][cell.reshape(-1)]
        squares, freedom = squares + float(w @ away**2), freedom + len(y) - pairs.shape[1]
        sizes, of = np.unique(x[at], return_inverse=True)
        means, held = _means(y, w, of)
        rows = _contrasts(sizes, held)
        drawn += list(rows @ means)
        shared = rows / np.sqrt(held)
        contrasts.append(shared @ shared.T)
    if freedom >= REPEATS:
        return Noise((squares / freedom) ** 0.5, freedom)
    if not drawn:
        return Noise(float("nan"), 0)
    correlated = sum(float((each**2).sum()) for each in contrasts)
    return Noise(float(np.sqrt(np.mean(np.square(drawn)))), len(drawn) ** 2 / correlated)


def _means(y: Array, weights: Array, of: NDArray[np.intp]) -> tuple[Array, Array]:
    """Weighted means of y by group, and the weights of the groups."""
    held = np.bincount(of, weights).astype(np.float64)
    return np.bincount(of, weights * y) / held, held


def _contrasts(sizes: Array, weights: Array) -> Array:
    """Rows (m, k) of unit variance that annihilate cubics, or parabolas of four sizes."""
    span = min(CONTRAST, len(sizes))
    found = np.zeros((max(0, len(sizes) - span + 1) if span > SIZES else 0, len(sizes)))
    for at, row in enumerate(found):
        near = slice(at, at + span)
        x = sizes[near] - sizes[near].mean()
        null = np.linalg.svd(np.vander(x, span - 1).T)[2][-1]
        row[near] = null / np.sqrt(float(np.sum(null**2 / weights[near])))
    return found
