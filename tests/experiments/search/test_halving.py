"""Numbers of the authors' code for Iterative Deepening Hyperband, and what the rules promise."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.search.halving import (
    Bracket,
    bracket_sizes,
    deepen,
    discarding,
    efficient,
    hyperband,
    last_bracket,
    preserving,
    successive_halving,
)
from scaling.common.errors import UserError

RULES = (efficient, preserving, discarding)


class Ledger:
    """Scores that are noise of (seed, candidate, budget), and a bill of every evaluation."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.bill: list[tuple[int, Fraction]] = []

    def __call__(self, candidates, budget):
        self.bill += [(candidate, budget) for candidate in candidates]
        return [random.Random(f"{self.seed} {c} {budget}").random() for c in candidates]

    @property
    def cost(self) -> Fraction:
        return sum((budget for _, budget in self.bill), Fraction(0))


def by_number(candidates, budget):
    """Smaller numbers are better, at every budget."""
    return [float(candidate) for candidate in candidates]


@given(st.integers(1, 10**30), st.integers(2, 12))
def test_last_bracket_is_the_whole_part_of_the_logarithm(R, eta):
    s = last_bracket(R, eta)
    assert eta**s <= R < eta ** (s + 1)


def test_last_bracket_where_the_quotient_of_logarithms_is_wrong():
    assert math.floor(math.log(243) / math.log(3)) == 4
    assert last_bracket(243, 3) == 5


@pytest.mark.parametrize(
    ("R", "eta", "sizes"),
    [(32, 2, (32, 20, 12, 8, 6, 6)), (81, 3, (81, 34, 15, 8, 5)), (16, 2, (16, 10, 7, 5, 5))],
)
def test_bracket_sizes(R, eta, sizes):
    assert bracket_sizes(R, eta) == sizes


@pytest.mark.parametrize(("eta", "R", "costs"), [(2, 16, (372, 1128)), (3, 27, (423, 1902, 8457))])
def test_efficient_deepening_costs_one_hyperband(eta, R, costs):
    ledger, numbers = Ledger(), itertools.count()
    search = hyperband(R, eta, numbers, ledger)
    assert ledger.cost == search.cost == costs[0]
    for cost in costs[1:]:
        search = deepen(search, numbers, ledger, efficient)
        R *= eta
        fresh = Ledger()
        hyperband(R, eta, itertools.count(), fresh)
        assert (search.R, ledger.cost, search.cost, fresh.cost) == (R, cost, cost, cost)


@pytest.mark.parametrize(("eta", "R", "rerun"), [(2, 16, 1500), (3, 27, 2325)])
def test_running_again_from_scratch_costs_both(eta, R, rerun):
    ledger = Ledger()
    for budget in (R, eta * R):
        hyperband(budget, eta, itertools.count(), ledger)
    assert ledger.cost == rerun


@pytest.mark.parametrize("rule", [preserving, discarding])
def test_other_rules_cost_a_little_more_as_the_scores_fall(rule):
    """The authors' code: 1902 to 1977 in 20 trials at 27 -> 81, where a re-run would cost 2325."""
    costs = []
    for seed in range(20):
        ledger, numbers = Ledger(seed), itertools.count()
        search = deepen(hyperband(27, 3, numbers, ledger), numbers, ledger, rule)
        assert search.cost == ledger.cost
        costs.append(ledger.cost)
    assert 1902 <= min(costs) < max(costs) < 2000


@given(st.integers(0, 10**6), st.sampled_from(RULES), st.sampled_from([(2, 8), (3, 9), (2, 11)]))
def test_nothing_is_evaluated_twice_and_old_scores_stay(seed, rule, shape):
    eta, R = shape
    ledger, numbers = Ledger(seed), itertools.count()
    first = hyperband(R, eta, numbers, ledger)
    second = deepen(first, numbers, ledger, rule)
    assert len(set(ledger.bill)) == len(ledger.bill)
    assert [len(b.candidates) for b in second.brackets] == list(bracket_sizes(eta * R, eta))
    for old, new in zip(first.brackets, second.brackets, strict=False):
        assert new.candidates[: len(old.candidates)] == old.candidates
        assert all(new.scores[budget].items() >= row.items() for budget, row in old.scores.items())
        assert max(new.scores) == eta * R


@given(st.permutations(range(22)), st.sampled_from([preserving, discarding]))
def test_without_noise_the_best_candidate_wins(order, rule):
    """Not so by the efficient rule, which goes on with whom the smaller R had promoted."""
    assert sum(bracket_sizes(8, 2)) == 22
    candidates = iter(order)
    search = deepen(hyperband(4, 2, candidates, by_number), candidates, by_number, rule)
    assert search.best == 0


def test_halving_promotes_the_best():
    done = successive_halving(Bracket(Fraction(1), tuple(range(9))), 2, 3, by_number)
    assert {b: set(row) for b, row in done.scores.items()} == {
        1: set(range(9)),
        3: {0, 1, 2},
        9: {0},
    }
    assert done.cost == 9 + 9 + 9


def test_who_diverged_comes_last_whatever_the_order():
    scores = {0: math.nan, 1: 2.0, 2: math.nan, 3: 1.0}
    assert discarding((0, 1, 2, 3), 3, scores, {}) == [3, 1, 0]


def test_rules_differ_over_those_that_were_left_behind():
    """Rung 10, 11, 12, two places; 12 has a score above; 13 was scored here before and is best."""
    here, above = {10: 0.1, 11: 0.2, 12: 0.3, 13: 0.0}, {12: 0.3}
    rung = (10, 11, 12)
    assert efficient(rung, 2, here, above) == [12, 10]
    assert preserving(rung, 2, here, above) == [13, 10]
    assert discarding(rung, 2, here, above) == [10, 11]


def test_budgets_that_are_no_powers_stay_exact():
    search = hyperband(100, 3, itertools.count(), Ledger())
    assert [bracket.least for bracket in search.brackets] == [
        Fraction(100, 3**s) for s in (4, 3, 2, 1, 0)
    ]
    assert all(max(bracket.scores) == 100 for bracket in search.brackets)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hyperband(0, 2, itertools.count(), by_number), r"^R=0, eta=2: R must be"),
        (lambda: hyperband(8, 1, itertools.count(), by_number), r"^R=8, eta=1: .* eta at least 2$"),
        (lambda: hyperband(8, 2, iter(range(21)), by_number), r"samples 22 candidates; there are"),
        (lambda: hyperband(8, 2, itertools.repeat(1), by_number), r"^bracket 3: .* sampled twice"),
    ],
)
def test_mistake_is_one_line(call, message):
    with pytest.raises(UserError, match=message):
        call()
