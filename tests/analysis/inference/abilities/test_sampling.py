"""Passing in k samples, the test of super-scaling and the budget, against a known world."""

from __future__ import annotations

import numpy as np
from ability_worlds import SPREAD, TARGET, rate, world
from scipy.special import betaln

from analysis.cli._ability_tables import samples
from analysis.inference.abilities.sampling import cheapest, curvature, passing


def test_pass_at_k_holds_its_truth_and_sub_scaling_is_seen() -> None:
    inside = []
    for seed in range(6):
        answers, *_ = world(seed)
        law = passing(answers, np.random.default_rng(seed))
        mu = float(rate(np.array([TARGET]), np.zeros(1))[0])
        for k in (1, 10, 100):
            a, b = mu * SPREAD, (1 - mu) * SPREAD
            truth = -np.expm1(betaln(a, b + k) - betaln(a, b))
            low, high = np.quantile(law.at(TARGET, k)[1:], [0.005, 0.995])
            inside.append(low - 0.02 <= truth <= high + 0.02)
        value, low, high = curvature(answers, np.random.default_rng(seed))
        assert low < value < high and low < 0.05 and high > -0.05
    assert np.mean(inside) >= 0.8


def test_many_questions_want_a_larger_model() -> None:
    answers, *_ = world(1)
    law = passing(answers, np.random.default_rng(0))
    sizes = np.geomspace(3e4, 3e6, 9)
    best = [
        min(cheapest(law, list(sizes), 0.8, 20, 16, count), key=lambda each: each.cost)
        for count in (1e2, 1e8)
    ]
    assert best[0].params < best[1].params and best[0].samples > best[1].samples
    one = law.needed(3e5, 0.8)
    assert one is not None and one > 1
    assert law.at(3e5, one)[0] >= 0.8 > law.at(3e5, one - 1)[0]


def test_the_tables_of_samples_name_the_cheapest_size() -> None:
    found: dict[str, list] = {}
    for part in samples([world(1)[0]], TARGET, 0.8, 20, 16, 1e6):
        part.into(found)
    assert {"pass_1", "pass_10", "pass_100"} <= found["passing"][0].keys()
    assert [row["verdict"] for row in found["budgets"]].count("cheapest") == 1
    assert len(found["super_scaling"]) == 1
