from __future__ import annotations

import pytest
import tiny

from experiments.plan.designs import isoflop, ladder, over_train, own_seeds, runs
from experiments.plan.grids import chain, configs, grid, product, seeds
from experiments.record import StudyPart
from scaling.common.errors import UserError
from scaling.counting.formulas import params_total

BASE = tiny.config()
WIDTHS = grid({"model.width": [16, 32]})
SIZES = [params_total(c.science.model.dims(c.science.batch.seq_len)) for c in configs(BASE, WIDTHS)]


def test_isoflop_is_a_sweep_per_budget():
    budget = 6 * SIZES[1] ** 2 * 10
    profiles = isoflop(BASE, WIDTHS, [budget, 2 * budget], min_ratio=10, max_ratio=1e3)
    assert [len(profile) for profile in profiles] == [2, 2]
    assert profiles[0][1] == {"model.width": 32, "budget.tokens": 10 * SIZES[1]}
    for size, assignment in zip(SIZES, profiles[1], strict=True):
        assert assignment["budget.tokens"] == round(2 * budget / (6 * size))


def test_ladder_is_a_sweep_per_size():
    assert ladder(BASE, WIDTHS, [(10, 20), (5,)]) == (
        (
            {"model.width": 16, "budget.tokens": 10 * SIZES[0]},
            {"model.width": 16, "budget.tokens": 20 * SIZES[0]},
        ),
        ({"model.width": 32, "budget.tokens": 5 * SIZES[1]},),
    )


def test_over_training_is_a_sweep_per_factor():
    rungs = over_train(BASE, WIDTHS, optimal=20, factors=(1, 4))
    assert [[a["budget.tokens"] for a in rung] for rung in rungs] == [
        [20 * N for N in SIZES],
        [80 * N for N in SIZES],
    ]


def test_designs_combine_with_the_rest_and_refuse_sizes_that_fix_the_tokens():
    [small, large] = ladder(BASE, WIDTHS, [(10,), (5,)])
    rates = grid({"optimizer.learning_rate": [1e-3, 2e-3, 4e-3]})
    assert len(chain(product(small, rates), product(large, seeds(2)))) == 5
    with pytest.raises(UserError, match=r"^budget\.tokens: set twice"):
        ladder(BASE, grid({"budget.tokens": [64]}), [(10,)])


def test_every_run_of_a_ladder_may_have_a_seed_of_its_own():
    rungs = ladder(BASE, WIDTHS, [(10, 20), (5,)])
    seeded = own_seeds(rungs, first=7)
    assert [a["seed"] for a in chain(*seeded)] == [7, 8, 9]
    assert [len(rung) for rung in seeded] == [len(rung) for rung in rungs]
    assert seeded[1][0] == {**rungs[1][0], "seed": 9}


def test_runs_are_numbered_by_rung_and_the_last_rungs_held_out():
    made = runs(BASE, ladder(BASE, WIDTHS, [(10, 20), (5,)]), held_out=1)
    assert [(run.rung, run.part) for run in made] == [
        (0, StudyPart.FIT),
        (0, StudyPart.FIT),
        (1, StudyPart.HELD_OUT),
    ]
    assert [run.config.science.model.width for run in made] == [16, 16, 32]
    with pytest.raises(UserError, match="twice in one grid"):
        runs(BASE, (WIDTHS, WIDTHS))
