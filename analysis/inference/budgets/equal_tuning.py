"""Arms at an equal bill of tuning: the best loss that a search has found, by what it has spent.

    P(best of k > x_(i)) = C(n - i, k) / C(n, k),    x_(1) <= ... <= x_(n)

A search tries the n trials of its arm in random order, none twice, and stops at k. Its best loss is
the median over the orders, with their central range: it says how far luck in the order goes, and
nothing of noise between seeds. A trial that diverged is paid for and finds no loss.

Source: Tang et al. 2020 (arXiv 2004.13705), after Dodge et al. 2019 (arXiv 1909.03004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from analysis.fitting.types import LEVEL
from analysis.tables.columns import Array
from scaling.common.answers import Ranged

ENOUGH = 1 - 1e-9  # of a trial's cost: a bill of so much has paid for it


@dataclass(frozen=True)
class Search:
    """The trials of one arm: rising losses, infinite where one diverged, and the mean cost."""

    losses: Array
    cost: float

    @classmethod
    def of(cls, losses: Array, costs: Array) -> Search:
        """From trials in any order; a loss that is not finite found nothing."""
        found = np.where(np.isfinite(losses), losses, np.inf)
        return cls(np.sort(found), float(np.mean(costs)))

    @property
    def bill(self) -> float:
        """The cost of all trials."""
        return self.cost * self.losses.size

    def trials(self, bill: float) -> int:
        """The trials that a bill pays for; at most all."""
        return min(self.losses.size, int(bill / self.cost / ENOUGH))

    def chances(self, bill: float) -> Array:
        """P(the best loss is x_(i)) over the orders, (n,)."""
        n, k = self.losses.size, self.trials(bill)
        left = n - np.arange(n + 1)
        log_above = gammaln(left + 1) - gammaln(np.maximum(left - k, 0) + 1)
        above = np.where(left >= k, np.exp(log_above - log_above[0]), 0.0)
        return -np.diff(above)

    def best(self, bill: float, level: float = LEVEL) -> Ranged:
        """The median of the best loss over the orders, and its central range."""
        below = np.cumsum(self.chances(bill)) * (1 + 1e-12)
        ends = (0.5, (1 - level) / 2, (1 + level) / 2)
        value, low, high = (self.losses[np.argmax(below >= end)] for end in ends)
        return float(value), float(low), float(high)


def lowest(searches: Sequence[Search], bill: float) -> Array:
    """The chance of each search to have the lowest loss of all; those with equal losses share it.

    Equal losses are ordered by a number u in [0, 1] that each draws: a polynomial in u, which
    Gauss's rule integrates exactly.
    """
    levels = np.unique(np.concatenate([each.losses for each in searches]))
    levels = levels[np.isfinite(levels)]
    at = np.array([_at(each, bill, levels) for each in searches])
    nodes, weights = np.polynomial.legendre.leggauss(len(searches))
    u, weights = (nodes + 1) / 2, weights / 2
    later = 1 - np.cumsum(at, axis=1)[..., None] + at[..., None] * (1 - u)
    others = [np.delete(later, i, axis=0).prod(axis=0) @ weights for i in range(len(searches))]
    won: Array = (at * others).sum(axis=1)
    return won


def _at(search: Search, bill: float, levels: Array) -> Array:
    """P(the best loss is each of these)."""
    chances = search.chances(bill)
    return np.array([chances[search.losses == level].sum() for level in levels])


def bills(searches: Sequence[Search]) -> Array:
    """Bills that double from one trial of the dearest search up to the least whole bill."""
    first, last = max(each.cost for each in searches), min(each.bill for each in searches)
    doubled = first * 2.0 ** np.arange(np.floor(np.log2(max(last / first, 1) / ENOUGH)) + 1)
    return np.unique(np.append(doubled[doubled < last * ENOUGH], max(first, last)))


def flipped(one: Search, other: Search, first: float, last: float) -> bool:
    """True where the likelier winner at the first bill loses at the last."""
    leads = [np.subtract(*lowest((one, other), bill)) for bill in (first, last)]
    return bool(leads[0] * leads[1] < 0)
