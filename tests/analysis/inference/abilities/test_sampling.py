"""Passing in k samples, the test of super-scaling and the budget, against a known world."""

from __future__ import annotations

import numpy as np
from ability_worlds import SPREAD, TARGET, rate, world
from scipy.special import betaln

from analysis.cli._ability_tables import samples
from analysis.inference.abilities.chains.pass_until import passing
from analysis.inference.abilities.sampling import cheapest, curvature, needed


def test_pass_at_k_of_a_new_run_lies_inside_and_a_power_law_does_not_bend() -> None:
    inside, straight = [], []
    for seed in range(6):
        answers, *_ = world(seed)
        rng = np.random.default_rng(seed)
        law = passing(answers, rng)
        mu = float(rate(np.array([TARGET]), rng.normal(size=1))[0])
        for k in (1, 10, 100):
            a, b = mu * SPREAD, (1 - mu) * SPREAD
            truth = -np.expm1(betaln(a, b + k) - betaln(a, b))
            low, high = np.quantile(law.at(TARGET, k)[1:], [0.025, 0.975])
            inside.append(low <= truth <= high)
        value, low, high = curvature(answers, rng)
        straight.append(low < 0 < high)
        assert low < value < high < low + 0.5
    assert np.mean(inside) >= 0.8 and np.mean(straight) >= 0.8


def test_many_questions_want_a_larger_model() -> None:
    answers, *_ = world(1)
    law = passing(answers, np.random.default_rng(0))
    sizes = np.geomspace(3e4, 3e6, 9)
    best = [
        min(cheapest(law, list(sizes), 0.8, 20, 16, count), key=lambda each: each.cost)
        for count in (1e2, 1e8)
    ]
    assert best[0].params < best[1].params and best[0].samples > best[1].samples
    one = needed(law, 3e5, 0.8)
    assert one is not None and one > 1
    assert law.at(3e5, one)[0] >= 0.8 > law.at(3e5, one - 1)[0]


def test_the_tables_of_samples_name_the_cheapest_size() -> None:
    found: dict[str, list] = {}
    for part in samples([world(1)[0]], TARGET, 0.8, 20, 16, 1e6):
        part.into(found)
    assert {"pass_1", "pass_10", "pass_100"} <= found["passing"][0].keys()
    assert [row["verdict"] for row in found["budgets"]].count("cheapest") == 1
    assert len(found["super_scaling"]) == 1
