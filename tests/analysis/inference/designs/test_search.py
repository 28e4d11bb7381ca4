"""The search finds a ladder that beats the geometric one on truths that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.inference.designs.expected import expected, grid
from analysis.inference.designs.search import Search, Space, geometric, search
from analysis.inference.designs.simulate import Ladder, simulate
from analysis.inference.designs.truths import published, truths
from scaling import laws
from scaling.common.errors import UserError

LAW = laws.chinchilla
SOURCES = [published(LAW, LAW.constants("besiroglu2024"))]
TARGET = {"params": 1e9, "tokens": 2e10}
AIM = {name: np.array([value]) for name, value in TARGET.items()}
SPACE = Space(np.geomspace(3e7, 8e8, 6), np.geomspace(8, 50, 4))
BUDGET, NOISE = 3e19, 0.003


@pytest.fixture(scope="module")
def found() -> Search:
    return search(LAW, SPACE, TARGET, BUDGET, SOURCES, NOISE)


def half(ladder: Ladder) -> tuple[float, float]:
    drawn = truths("true", SOURCES, ladder.variables, AIM, NOISE, 8, seed=99)
    outcome = simulate(ladder, AIM, drawn, bootstrap=40, seed=99)
    return float(np.median(outcome.width)), outcome.coverage


def test_the_design_is_narrower_than_the_geometric_ladder_at_equal_cost(found: Search):
    plain = geometric(LAW, SPACE, BUDGET)
    assert plain.compute.sum() == pytest.approx(BUDGET, rel=1e-6)
    assert found.best.cost <= BUDGET * (1 + 1e-9)
    ours, held = half(found.best.ladder)
    theirs, _ = half(plain)
    assert ours < 0.9 * theirs
    assert held >= 0.85
    assert float(found.best.expected.width.mean()) == pytest.approx(ours, rel=0.3)


def test_rungs_add_up_and_more_runs_narrow(found: Search):
    costs = [rung.cost for rung in found.rungs]
    assert sum(costs) == pytest.approx(found.best.cost)
    assert [rung.spent for rung in found.rungs] == pytest.approx(np.cumsum(costs).tolist())
    assert found.next_expected.width.mean() < found.best.expected.width.mean()


def test_few_sizes_expect_nothing():
    plain = geometric(LAW, SPACE, BUDGET)
    cells = SPACE.cells
    both = {name: np.append(cells[name], TARGET[name]) for name in cells}
    kinds = [truths("true", SOURCES, plain.variables, both, NOISE, 2)]
    board = grid(plain, cells, TARGET, kinds)
    one_size = np.array([0, 1, 2, 3, 0, 1, 2])
    assert expected(board, one_size, np.zeros(7, int)) is None


def test_a_target_within_the_budget_is_trained():
    with pytest.raises(UserError, match="train the target"):
        search(LAW, SPACE, TARGET, 1e21, SOURCES, NOISE)
    with pytest.raises(UserError, match="too little for a ladder"):
        search(LAW, SPACE, TARGET, 1e17, SOURCES, NOISE)


def test_no_run_exceeds_the_largest():
    few = Space(np.geomspace(3e7, 3e8, 4), np.geomspace(8, 50, 3))
    made = search(LAW, few, TARGET, BUDGET, SOURCES, NOISE, largest=2e18)
    assert made.best.ladder.compute.max() <= 2e18
    assert geometric(LAW, SPACE, BUDGET, 2e18).compute.max() <= 2e18 * (1 + 1e-9)
