"""Losses against the weights of a mixture: regressions, judged on runs that they have not seen.

    law     L(r) = E + exp(sum_j t_j r_j)    least squares of ln L (Ye et al. 2024, 2403.16952)
    ridge   L(r) = sum_j b_j r_j             least squares (RegMix, linear)
    trees   gradient-boosted trees of r      LightGBM (RegMix, Liu et al. 2024, 2407.01492)

Weights add up to 1, so the law's factor k = exp(k_0) is a shift of all t_j, and is left out. Each
text has its own regression; a target is a mean of the losses on several texts.

The best mixture is the mean of the `TOP` of many mixtures with the least predicted loss, as in
RegMix; that of the law is its exact minimum. Both stay among the runs: the mixtures are means of
up to three runs, and no weight of the minimum leaves the range of the runs. Of a single target the
law falls along a line, so its minimum lies at an end of these ranges.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.bootstrap import mean_interval, percentile_interval, resample_weights
from analysis.fitting.types import LEVEL
from analysis.tables.columns import Array
from scaling.common.answers import Ranged
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra
from scaling.ranks import spearman

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Array], Array]  # weights (n, K) -> losses (n,)
Regression = Callable[[Array, Array, Array], Predict]  # weights, losses, weight of each run
FOLDS = 8
DRAWN, TOP = 20_000, 128
DUST = 1e-6  # a weight that the search has left above 0
FLOORS = 40  # values of E that are tried
RIDGE = 1e-6  # of the mean square, where the mixtures leave a direction open
TREES = {
    "num_leaves": 8,
    "learning_rate": 0.05,
    "min_data_in_leaf": 3,
    "min_sum_hessian_in_leaf": 0,
    "verbosity": -1,
    "num_threads": 1,
    "seed": 42,
}
ROUNDS = 300


@dataclass(frozen=True)
class Proxies:
    """Weights (n, K) of n runs over K texts, and losses (n, M) on M texts, all named."""

    texts: tuple[str, ...]
    weights: Array
    targets: tuple[str, ...]
    losses: Array

    def __post_init__(self) -> None:
        sums = self.weights.sum(axis=1)
        if (self.weights < 0).any() or np.abs(sums - 1).max() > 0.01:
            raise UserError("mix: the weights of a run must not be negative and add up to 1")
        if not np.isfinite(self.losses).all():
            raise UserError("mix: a run has no loss on one of the texts; take it out with --where")

    def target(self, names: Sequence[str]) -> Array:
        """(M,) shares of the losses in the mean of the named targets; of all if none is named."""
        wanted = list(names or self.targets)
        for name in wanted:
            if name not in self.targets:
                raise UserError(f"--target {name}: no such text; known: {', '.join(self.targets)}")
        return np.array([wanted.count(name) / len(wanted) for name in self.targets])


def fit_law(weights: Array, losses: Array, of_run: Array) -> MixingLaw:
    """Least squares of ln L: for each E a line in r, then Gauss-Newton from the best."""
    from scipy.optimize import least_squares

    root, least = np.sqrt(of_run), losses[of_run > 0].min()
    losses = np.where(of_run > 0, losses, least)
    shrink = RIDGE * np.eye(weights.shape[1]) * (root @ root)

    def line(E: float) -> Array:
        # ln(L - E) = t r, and d ln L = (1 - E / L) d ln(L - E)
        rows = root * (1 - E / losses)
        A = rows[:, None] * weights
        return np.linalg.solve(
            A.T @ A + shrink * np.mean(rows**2), A.T @ (rows * np.log(losses - E))
        )

    def residuals(x: Array) -> Array:
        return root * (np.log(x[0] + np.exp(weights @ x[1:])) - np.log(losses))

    def slopes(x: Array) -> Array:
        power = np.exp(weights @ x[1:])
        share = root / (x[0] + power)
        return np.concatenate([share[:, None], (share * power)[:, None] * weights], axis=1)

    starts = [np.array([E, *line(E)]) for E in least * np.linspace(0, 0.995, FLOORS)]
    best = min(starts, key=lambda x: float(np.sum(residuals(x) ** 2)))
    free = np.full(len(best) - 1, np.inf)
    ends = (np.array([0, *-free]), np.array([least, *free]))
    found = least_squares(residuals, best, slopes, ends, x_scale=np.maximum(1, abs(best)))
    return MixingLaw(float(found.x[0]), found.x[1:])


@dataclass(frozen=True)
class MixingLaw:
    """L(r) = E + exp(t . r)."""

    E: float
    t: Array

    def __call__(self, weights: Array) -> Array:
        return np.asarray(self.E + np.exp(weights @ self.t))


def fit_ridge(weights: Array, losses: Array, of_run: Array) -> Predict:
    """A weighted line; the sum of the weights is 1, so it has no constant of its own."""
    A = np.sqrt(of_run)[:, None] * weights
    gram = A.T @ A
    shrink = RIDGE * np.trace(gram) * np.eye(len(gram))
    b = np.linalg.solve(gram + shrink, A.T @ (np.sqrt(of_run) * losses))
    return lambda at: np.asarray(at @ b)


def fit_trees(weights: Array, losses: Array, of_run: Array) -> Predict:
    """Gradient-boosted trees, small ones: proxies are few."""
    lightgbm = import_extra("lightgbm", "mixing", "mix --by trees")
    data = lightgbm.Dataset(weights, label=losses, weight=of_run)
    model = lightgbm.train(TREES, data, num_boost_round=ROUNDS)
    return lambda at: np.asarray(model.predict(at))


REGRESSIONS: Mapping[str, Regression] = {"law": fit_law, "ridge": fit_ridge, "trees": fit_trees}


def predictor(proxies: Proxies, name: str, shares: Array, of_run: Array | None = None) -> Predict:
    """The predicted target: each text that has a share is regressed by itself."""
    of_run = np.ones(len(proxies.weights)) if of_run is None else of_run
    fits = [
        (share, REGRESSIONS[name](proxies.weights, losses, of_run))
        for share, losses in zip(shares, proxies.losses.T, strict=True)
        if share
    ]
    return lambda at: np.asarray(sum(share * fit(at) for share, fit in fits))


@dataclass(frozen=True)
class Accuracy:
    """Errors on runs that were left out: mean |error| / loss, and the rank correlation with its
    interval over resampled runs."""

    error: float
    spearman: float
    low: float
    high: float


def cross_validated(proxies: Proxies, name: str, shares: Array, seed: int = 0) -> Accuracy:
    """Each fold of the runs predicted by a regression on the others."""
    n = len(proxies.weights)
    folds = np.random.default_rng(seed).permutation(n) % min(FOLDS, n)
    predicted = np.empty(n)
    for fold in np.unique(folds):
        out = folds == fold
        seen = Proxies(proxies.texts, proxies.weights[~out], proxies.targets, proxies.losses[~out])
        predicted[out] = predictor(seen, name, shares)(proxies.weights[out])
    return accuracy(predicted, proxies.losses @ shares, seed)


def accuracy(predicted: Array, measured: Array, seed: int = 0) -> Accuracy:
    """The errors of predictions."""
    draws = np.random.default_rng(seed).integers(len(measured), size=(500, len(measured)))
    ranks = np.array([spearman(predicted[each], measured[each]) for each in draws])
    low, high = percentile_interval(ranks[np.isfinite(ranks)], LEVEL)
    error = float(np.mean(np.abs(predicted / measured - 1)))
    return Accuracy(error, spearman(predicted, measured), float(low), float(high))


@dataclass(frozen=True)
class BestMixture:
    """Weights (K,) of least predicted target, and their resamples (R, K)."""

    weights: Array
    loss: float
    samples: Array

    def interval(self) -> tuple[Array, Array]:
        return percentile_interval(self.samples, LEVEL)


def best_mixture(
    proxies: Proxies, name: str, shares: Array, resamples: int, seed: int = 0
) -> BestMixture:
    """The mixture of least predicted loss; each resample weighs the runs anew."""
    n, rng = len(proxies.weights), np.random.default_rng(seed)
    shared = rng.dirichlet(np.full(3, 0.3), DRAWN)
    drawn = np.einsum("di,dik->dk", shared, proxies.weights[rng.integers(n, size=(DRAWN, 3))])
    ends = np.stack([proxies.weights.min(axis=0), proxies.weights.max(axis=0)], axis=1)
    weights = np.ones((1, n))
    if resamples:
        together = np.arange(n, dtype=np.intp)
        extra = resample_weights("dirichlet", together, resamples, seed, n)
        weights = np.concatenate([weights, extra])
    fits = [predictor(proxies, name, shares, each) for each in weights]
    find = partial(_least, ends=ends) if name == "law" else _mean_of_top
    found = np.stack([find(fit, drawn) for fit in fits])
    return BestMixture(found[0], float(fits[0](found[:1])[0]), found[1:])


def _mean_of_top(predict: Predict, drawn: Array) -> Array:
    return np.asarray(drawn[np.argsort(predict(drawn))[:TOP]].mean(axis=0))


def _least(predict: Predict, drawn: Array, ends: Array) -> Array:
    """The minimum of a convex function over weights between these ends, from the best drawn."""
    from scipy.optimize import minimize

    start = drawn[np.argmin(predict(drawn))]
    found = minimize(
        lambda r: float(predict(r[None])[0]),
        start,
        bounds=ends,
        constraints={"type": "eq", "fun": lambda r: r.sum() - 1},
        method="SLSQP",
    )
    weights = np.where(found.x < DUST, 0.0, found.x)
    return np.asarray(weights / weights.sum())


WEIGHT, LOSS, PROXY = "weights_by_source.", "losses_by_source.", "proxy"


def proxies_of(table: pd.DataFrame) -> Proxies:
    """The runs of a table to regress on: those of the label "proxy", or all where none has it.

    Their weights are its columns weights_by_source.*, their losses losses_by_source.*.
    """
    if "label" in table.columns and (table["label"] == PROXY).any():
        table = table[table["label"] == PROXY]
    texts, weights = _columns(table, WEIGHT)
    targets, losses = _columns(table, LOSS)
    if len(texts) < 2 or not targets:
        raise UserError(
            f"mix: no columns {WEIGHT}* and {LOSS}*; they are of runs with two or more data.corpora"
        )
    least = next(n for n in itertools.count() if n - math.ceil(n / FOLDS) > len(texts) + 1)
    if len(table) < least:  # the largest fold leaves fewer than the law's parameters and one
        raise UserError(
            f"mix: {len(table)} run(s) over {len(texts)} texts; a regression and its test need "
            f"{least} or more"
        )
    return Proxies(texts, weights, targets, losses)


def _columns(table: pd.DataFrame, prefix: str) -> tuple[tuple[str, ...], Array]:
    """The names and values of the columns that begin so and are not empty."""
    names = [name for name in table.columns if str(name).startswith(prefix)]
    found = table[names].dropna(axis=1, how="all")
    short = tuple(str(name).removeprefix(prefix) for name in found.columns)
    return short, found.to_numpy(np.float64)


@dataclass(frozen=True)
class Compared:
    """A mixture that was trained: losses (S,) on the target, by seed."""

    label: str
    weights: Array
    losses: Mapping[int, float]

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.losses.values())))

    def above(self, other: Compared) -> Ranged:
        """Mean of ln(loss / the other's) over the seeds of both, and its interval by Student's t.

        Runs of one seed have the same first parameters and, for equal weights, the same text.
        """
        both = sorted(self.losses.keys() & other.losses.keys())
        ratio = np.log([self.losses[seed] / other.losses[seed] for seed in both])
        return mean_interval(ratio, LEVEL)


def compared_of(table: pd.DataFrame, proxies: Proxies, shares: Array) -> tuple[Compared, ...]:
    """The mixtures of a table with labels of their own, from the lowest loss up."""
    if "label" not in table.columns:
        return ()
    found = []
    for label, runs in table[~table["label"].isin(("", PROXY))].groupby("label", sort=False):
        weights = runs[[f"{WEIGHT}{text}" for text in proxies.texts]].to_numpy(np.float64)
        losses = runs[[f"{LOSS}{text}" for text in proxies.targets]].to_numpy(np.float64) @ shares
        own = dict(zip(runs["seed"].astype(int), losses.tolist(), strict=True))
        found.append(Compared(str(label), weights[0], own))
    return tuple(sorted(found, key=lambda each: each.mean))


def predicted_of(
    trained: Sequence[Compared], proxies: Proxies, shares: Array
) -> Mapping[str, float]:
    """The loss that the law of the proxies gives each trained mixture, by its label."""
    law = predictor(proxies, "law", shares)
    return {each.label: float(law(each.weights[None])[0]) for each in trained}
