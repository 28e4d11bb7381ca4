from __future__ import annotations

import pytest

from scaling.common.errors import UserError
from scaling.designs import Point, fixed_ratios, isoflop, over_train


def test_fixed_ratios_trains_size_i_on_its_own_ratios() -> None:
    assert fixed_ratios([100, 200], [(20, 40), (2.5,)]) == [
        Point(size=0, tokens=2000, rung=0),
        Point(size=0, tokens=4000, rung=0),
        Point(size=1, tokens=500, rung=1),
    ]


@pytest.mark.parametrize("rows", [1, 3])
def test_fixed_ratios_wants_one_row_a_size(rows: int) -> None:
    with pytest.raises(UserError, match=rf"^ratios: {rows} rows for 2 sizes"):
        fixed_ratios([100, 200], [(20,)] * rows)


def test_isoflop_spends_each_budget_on_every_size_in_range() -> None:
    # D = C / 6N: 2.4e6 / 600 = 4000 at N = 100 (D/N 40), 2000 at 200 (10), 1000 at 400 (2.5)
    points = isoflop([100, 200, 400], [2.4e6, 9.6e6], min_ratio=5, max_ratio=40)
    assert points == [
        Point(size=0, tokens=4000, rung=0),
        Point(size=1, tokens=2000, rung=0),
        Point(size=1, tokens=8000, rung=1),
        Point(size=2, tokens=4000, rung=1),
    ]


def test_isoflop_points_cost_their_budget() -> None:
    sizes, budgets = [1000, 3000, 9000], [1e11, 4e11]
    for point in isoflop(sizes, budgets, min_ratio=0, max_ratio=1e9):
        assert 6 * sizes[point.size] * point.tokens == pytest.approx(budgets[point.rung], rel=1e-6)


def test_isoflop_refuses_a_budget_that_no_size_can_spend() -> None:
    with pytest.raises(UserError, match=r"^flops\[1\]=1e\+20: no size has 5 to 40 tokens"):
        isoflop([100], [2.4e6, 1e20], min_ratio=5, max_ratio=40)


def test_over_training_multiplies_the_optimal_ratio_of_every_size() -> None:
    assert over_train([100, 200], optimal=20, factors=(1, 2.5)) == [
        Point(size=0, tokens=2000, rung=0),
        Point(size=1, tokens=4000, rung=0),
        Point(size=0, tokens=5000, rung=1),
        Point(size=1, tokens=10000, rung=1),
    ]


@pytest.mark.parametrize("factors", [(2, 1), (1, 1)])
def test_over_training_goes_up(factors: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=r"^factors=.*: give them in increasing order"):
        over_train([100], optimal=20, factors=factors)
