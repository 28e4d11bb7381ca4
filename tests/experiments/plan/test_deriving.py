"""The door to derived runs: fields of the config and settings of the operation, told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny

from experiments.plan import derived, subsets
from experiments.plan.run import Derived, Run
from scaling.common.errors import UserError

BASE = Run(tiny.config("execution.permanent=8"), 3)


def test_names_of_the_config_change_the_child_and_others_set_the_operation() -> None:
    data = replace(BASE.config.science.data, path="elsewhere")
    run = derived([BASE], "ties", data=data, tokens=2e3, lr=1e-4, keep=0.3, label="merged")
    science = run.config.science
    assert (science.data.path, science.budget.tokens) == ("elsewhere", 2000)
    assert science.optimizer.learning_rate == 1e-4
    assert run.beginning == Derived((BASE,), "ties", {"keep": 0.3})
    assert (run.rung, run.label, run.config.execution.permanent) == (3, "merged", ())
    path = derived(BASE, "continue", **{"schedule.name": "constant"})
    assert path.config.science.schedule.name == "constant"


def test_generations_name_all_ancestors_and_count_each_once() -> None:
    a, b = (derived(BASE, "continue", seed=seed) for seed in (1, 2))
    child = derived((a, b), "average", tokens=0)
    assert child.ancestors == {BASE.run_id, a.run_id, b.run_id}
    assert child.flops_parents == 3 * BASE.ledger["flops_model"]


def test_subsets_are_distinct_and_the_same_for_a_seed() -> None:
    runs = [derived(BASE, "continue", seed=seed) for seed in range(6)]
    assert len(subsets(runs, 2)) == 15
    few = subsets(runs, 3, most=5, seed=1)
    assert (len(set(few)), few) == (5, subsets(runs, 3, most=5, seed=1))
    assert few != subsets(runs, 3, most=5, seed=2)


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="operation 'average': no parents; give at least one run"):
        derived([], "average")
    with pytest.raises(UserError, match="2 steps in `at` for 1 parents; give one for each"):
        derived(BASE, "continue", at=(1, 2))
