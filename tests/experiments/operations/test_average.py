from __future__ import annotations

import numpy as np
import operated

from experiments.operations import Arrays, Blueprint
from experiments.operations.average import average

DRAWN = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
PARENTS: list[Arrays] = [{"w": drawn, "gain": drawn[0]} for drawn in DRAWN]
PLAN: Blueprint = operated.plan([operated.config()], operated.config())


def test_uniform_and_weighted_means() -> None:
    np.testing.assert_allclose(average(PARENTS, PLAN)["w"], DRAWN.mean(0), atol=1e-6)
    weighted = average(PARENTS, PLAN, weights=(1.0, 0.0, 3.0))
    np.testing.assert_allclose(weighted["w"], 0.25 * DRAWN[0] + 0.75 * DRAWN[2], atol=1e-6)
    np.testing.assert_allclose(weighted["gain"], weighted["w"][0])
    assert weighted["w"].dtype == np.float32


def test_average_of_a_run_with_itself_is_the_run_bit_for_bit() -> None:
    for made in (average(PARENTS[:1] * 3, PLAN), average(PARENTS[:1], PLAN)):
        np.testing.assert_array_equal(made["w"], PARENTS[0]["w"])
