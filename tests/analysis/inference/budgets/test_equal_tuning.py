"""The best of k trials over all orders of a search, against a list of those orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from analysis.inference.budgets.equal_tuning import Search, bills, flipped, lowest

INF = np.inf
ONE = Search.of(np.array([3.0, 2.0, INF, 2.5, 2.0]), np.full(5, 2.0))
OTHER = Search.of(np.array([2.4, 2.0, 9.0, 2.2]), np.full(4, 3.0))
THIRD = Search.of(np.array([2.2, 2.1, 7.0]), np.full(3, 3.0))


def orders(search: Search, k: int) -> np.ndarray:
    return np.array([min(order[:k]) for order in permutations(search.losses)])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_best_is_that_of_all_orders(k: int) -> None:
    all_orders = orders(ONE, k)
    value, low, high = ONE.best(2.0 * k, level=0.8)
    found = np.quantile(all_orders, [0.5, 0.1, 0.9], method="inverted_cdf")
    assert (value, low, high) == tuple(found)
    for level in (2.0, 2.5, 3.0):
        chance = ONE.chances(2.0 * k)[ONE.losses == level].sum()
        assert chance == pytest.approx((all_orders == level).mean(), abs=1e-12)


def test_the_lowest_is_that_of_all_pairs_and_triples_of_orders() -> None:
    one, other, third = orders(ONE, 3), orders(OTHER, 2), orders(THIRD, 2)
    a, b, c = one[:, None, None], other[None, :, None], third[None, None, :]
    least = np.minimum(np.minimum(a, b), c)
    winners = np.stack(np.broadcast_arrays(a, b, c)) == least
    shares = (winners / winners.sum(axis=0)).mean(axis=(1, 2, 3))
    assert lowest([ONE, OTHER, THIRD], 6.0) == pytest.approx(shares, abs=1e-12)


def test_bills_double_from_a_dear_trial_to_the_least_whole_bill() -> None:
    assert bills([ONE, OTHER]).tolist() == [3.0, 6.0, 10.0]
    assert ONE.trials(6.0) == 3 and ONE.trials(1e9) == 5 and ONE.trials(1.9) == 0


def test_an_arm_that_needs_tuning_leads_late() -> None:
    steady = Search.of(np.full(8, 2.2), np.ones(8))
    touchy = Search.of(np.array([2.0, 2.1, *np.full(6, 3.0)]), np.ones(8))
    assert flipped(steady, touchy, 1.0, 8.0) and not flipped(steady, touchy, 1.0, 2.0)
