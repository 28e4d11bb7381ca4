from __future__ import annotations

import re

import numpy as np
import pytest

from experiments.operations import Arrays
from experiments.operations.average import operation
from scaling.common.errors import UserError

DRAWN = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
PARENTS: list[Arrays] = [{"w": drawn, "gain": drawn[0]} for drawn in DRAWN]


def test_uniform_and_weighted_means() -> None:
    np.testing.assert_allclose(operation(PARENTS)["w"], DRAWN.mean(0), atol=1e-6)
    weighted = operation(PARENTS, weights=(1.0, 0.0, 3.0))
    np.testing.assert_allclose(weighted["w"], 0.25 * DRAWN[0] + 0.75 * DRAWN[2], atol=1e-6)
    np.testing.assert_allclose(weighted["gain"], weighted["w"][0])
    assert weighted["w"].dtype == np.float32


def test_average_of_a_run_with_itself_is_the_run_bit_for_bit() -> None:
    for made in (operation(PARENTS[:1] * 3), operation(PARENTS[:1])):
        np.testing.assert_array_equal(made["w"], PARENTS[0]["w"])


@pytest.mark.parametrize(
    ("parents", "weights", "message"),
    [
        (PARENTS, (1.0, 2.0), "2 weights for 3 parents; give one for each"),
        (PARENTS[:2], (1.0, -1.0), "weights=(1.0, -1.0): their sum must not be 0"),
        ([PARENTS[0], {"w": DRAWN[0]}], (), "'gain' is (5,) in parent 1 and absent in parent 2"),
        ([{"w": DRAWN[0]}, {"w": DRAWN[0].T}], (), "'w' is (4, 5) in parent 1 and (5, 4) in"),
    ],
)
def test_parents_that_have_no_average_are_one_line(parents, weights, message) -> None:
    with pytest.raises(UserError, match="^operation 'average': .*" + re.escape(message)):
        operation(parents, weights=weights)
