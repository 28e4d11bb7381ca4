"""Searches of the best mixture, played on a table of runs that are done already, with their cost.

Every mixture of the table was trained at a small and at a large size. A search pays for each run
that it looks at, the small ones `ratio` of a large one. It has found the best of the mixtures whose
large run it has paid for. The searches:

    random     large runs in random order
    proxies    every small run first, then large runs in the order of their losses
    single     expected improvement by a Gaussian process of the large runs
    multi      of both sizes: ln L_large(r) = rho m_small(r) + d(r), two Gaussian processes (Le
               Gratiet and Garnier 2014, recursive co-kriging), m_small being the mean of the first

`multi` asks for the run of most improvement per cost: a small run is worth the expected improvement
times the share of the deviation that it can take away (Huang et al. 2006). This is ours, in the way
of ADMIRE, whose process has the size as a further input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fitting.types import LEVEL
from analysis.inference.mixing.regressions import Proxies
from analysis.tables.columns import Array
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

FIRST = 4  # large runs at random before the first Gaussian process
FIRST_SMALL = 16
AT_ONCE = 8  # small runs between two fits
LENGTHS = np.geomspace(0.1, 3.0, 8)  # of the kernels, in distances of Hellinger: sqrt(2) at most
NOISES = (1e-4, 1e-3, 1e-2, 1e-1)  # variances, over that of the process
DECIMALS = 4  # by which mixtures of two sizes are the same


@dataclass(frozen=True)
class Trials:
    """Mixtures (n, K) with their losses (n,) at a small and a large size.

    ``ratio``  cost of a small run over that of a large one.
    """

    weights: Array
    small: Array
    large: Array
    ratio: float

    @property
    def best(self) -> float:
        return float(self.large.min())

    @cached_property
    def distances(self) -> Array:
        """(n, n): between square roots of weights, as of Hellinger; there small weights count."""
        roots = np.sqrt(self.weights)
        return np.asarray(np.sqrt(np.maximum(2 - 2 * roots @ roots.T, 0)))


Step = tuple[float, float]  # paid so far [large runs], and the least large loss so far
Search = Callable[[Trials, np.random.Generator], Iterator[tuple[bool, int]]]


def trials_of(small: Proxies, large: Proxies, shares: Array, ratio: float) -> Trials:
    """The mixtures that both have. Raises a UserError where fewer than ten are the same."""
    if not 0 < ratio < 1:
        raise UserError(f"cost {ratio:g} of a small run: must be above 0 and below 1")
    first = {tuple(row): k for k, row in enumerate(np.round(small.weights, DECIMALS).tolist())}
    pairs = [
        (first[key], k)
        for k, row in enumerate(np.round(large.weights, DECIMALS).tolist())
        if (key := tuple(row)) in first
    ]
    if len(pairs) < 10:
        raise UserError(
            f"{len(pairs)} mixtures have a small and a large run; a search needs 10 or more"
        )
    s, t = np.array(pairs).T
    losses = (np.log(small.losses[s] @ shares), np.log(large.losses[t] @ shares))
    return Trials(large.weights[t], *losses, ratio)


def play(
    trials: Trials, search: Search, seed: int, within: float = 0.0, budget: float = 0.0
) -> list[Step]:
    """The large runs of a search, until it is within a share of the least loss.

    It pays for `budget` large runs at least.
    """
    paid, least, steps = 0.0, float("inf"), []
    for is_large, k in search(trials, np.random.default_rng(seed)):
        paid += 1.0 if is_large else trials.ratio
        if is_large:
            least = min(least, float(trials.large[k]))
            steps.append((paid, least))
        if paid > budget and least - trials.best <= within:
            break
    return steps


def regret(trials: Trials, steps: list[Step], paid: float) -> float:
    """ln(loss found / least loss) after so much was paid; NaN before any large run."""
    found = [least for cost, least in steps if cost <= paid]
    return found[-1] - trials.best if found else float("nan")


def cost_to(trials: Trials, steps: list[Step], within: float) -> float:
    """Large runs paid for until the loss was within a share of the least; infinite for never."""
    return next((cost for cost, least in steps if least - trials.best <= within), float("inf"))


def interval(values: Array, seed: int = 0) -> Ranged:
    """The median and its interval over resampled seeds."""
    draws = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    found = np.sort(values[draws], axis=1)[:, len(values) // 2]
    low, high = np.sort(found)[
        [int(len(found) * (1 - LEVEL) / 2), int(len(found) * (1 + LEVEL) / 2)]
    ]
    return float(np.sort(values)[len(values) // 2]), float(low), float(high)


def at_random(trials: Trials, rng: np.random.Generator) -> Iterator[tuple[bool, int]]:
    for k in rng.permutation(len(trials.large)):
        yield True, int(k)


def by_proxies(trials: Trials, rng: np.random.Generator) -> Iterator[tuple[bool, int]]:
    for k in rng.permutation(len(trials.small)):
        yield False, int(k)
    for k in np.argsort(trials.small):
        yield True, int(k)


def by_one_process(trials: Trials, rng: np.random.Generator) -> Iterator[tuple[bool, int]]:
    """Expected improvement of the large loss, from large runs alone."""
    large = [int(k) for k in rng.permutation(len(trials.large))[:FIRST]]
    yield from ((True, k) for k in large)
    while len(large) < len(trials.large):
        found = process(trials.distances, large, trials.large[large])
        gain = improvement(*found, float(trials.large[large].min()))
        gain[large] = -1
        large.append(int(gain.argmax()))
        yield True, large[-1]


def by_two_processes(trials: Trials, rng: np.random.Generator) -> Iterator[tuple[bool, int]]:
    """Improvement per cost, from small runs and large ones."""
    order = [int(k) for k in rng.permutation(len(trials.large))]
    small, large = order[:FIRST_SMALL], order[:FIRST]
    yield from ((False, k) for k in small)
    yield from ((True, k) for k in large)
    while len(large) < len(trials.large):
        low, low_sd = process(trials.distances, small, trials.small[small])
        x, y = low[large], trials.large[large]
        rho = float(np.cov(x, y)[0, 1] / max(float(np.var(x, ddof=1)), 1e-12))
        rest, rest_sd = process(trials.distances, large, y - rho * x)
        deviation = np.hypot(rho * low_sd, rest_sd)
        gain = improvement(rho * low + rest, deviation, float(y.min()))
        gain[large] = -1
        by_small = gain * abs(rho) * low_sd / deviation / trials.ratio
        by_small[small] = -1
        if by_small.max() > gain.max():
            chosen = [int(k) for k in np.argsort(-by_small)[:AT_ONCE] if by_small[k] > 0]
            small += chosen
            yield from ((False, k) for k in chosen)
        else:
            large.append(int(gain.argmax()))
            yield True, large[-1]


def improvement(mean: Array, deviation: Array, least: float) -> Array:
    """EI = sd (z Phi(z) + phi(z)), z = (least - mean) / sd: how far below the least, on average."""
    from scipy.stats import norm

    z = (least - mean) / deviation
    return np.asarray(deviation * (z * norm.cdf(z) + norm.pdf(z)))


SEARCHES: Mapping[str, Search] = {
    "random": at_random,
    "proxies": by_proxies,
    "single": by_one_process,
    "multi": by_two_processes,
}


def process(distances: Array, seen: list[int], values: Array) -> tuple[Array, Array]:
    """A Gaussian process of what was seen: mean and deviation at all mixtures.

    Its kernel is Matern 5/2. Length and noise are the likeliest of a grid, the scale the likeliest
    for them: s^2 = y' (K + noise)^-1 y / n.
    """
    middle, spread = values.mean(), max(float(values.std()), 1e-9)
    y, n = (values - middle) / spread, len(values)
    found = []
    for length in LENGTHS:
        kernel = _matern(distances[seen] / length)
        power, Q = np.linalg.eigh(kernel[:, seen])
        turned = Q.T @ y
        for noise in NOISES:
            inverse = 1 / (np.maximum(power, 0) + noise)
            scale = float(turned**2 @ inverse) / n
            likelihood = -n * np.log(scale) + np.sum(np.log(inverse))
            found.append((likelihood, kernel, Q, inverse, turned, scale))
    _, kernel, Q, inverse, turned, scale = max(found, key=lambda each: each[0])
    across = Q.T @ kernel
    variance = scale * np.maximum(1 - inverse @ across**2, 1e-12)
    return middle + spread * (inverse * turned) @ across, spread * np.sqrt(variance)


def _matern(r: Array) -> Array:
    scaled = np.sqrt(5) * r
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
